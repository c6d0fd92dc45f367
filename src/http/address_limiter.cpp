#include "http/address_limiter.hpp"

#include <algorithm>
#include <vector>

#include <boost/asio/ip/address.hpp>

namespace quittance::http {

namespace {

constexpr std::string_view white_space = " \t";
/// Sweeping all addresses takes about a millisecond.
constexpr std::chrono::seconds sweep_interval{1};

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
    return text.substr(0, text.find_last_not_of(white_space) + 1);
}

/// Some proxies write the port, too: 192.0.2.1:4711 or [2001:db8::1]:4711.
std::string_view without_port(std::string_view text) {
    if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
    const std::size_t colon = text.find(':');
    const bool is_v4_with_port = colon != std::string_view::npos && text.find(':', colon + 1) == text.npos;
    return is_v4_with_port ? text.substr(0, colon) : text;
}

/// Without the IPv4 addresses that are written as IPv6 ones.
std::optional<boost::asio::ip::address> parse_address(std::string_view text) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(text, error);
    if (error) return std::nullopt;
    if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
}

/// An IPv4 address, or the first half of an IPv6 address. The two cannot be equal: no host's IPv6 address
/// begins with 32 set bits, which are for multicast. What is no address at all is one network, too; this
/// machine itself is none.
std::optional<std::uint64_t> network_of(std::string_view text) {
    constexpr std::uint64_t v4_mark = 0xFFFF'FFFF'0000'0000;
    const auto address = parse_address(text);
    if (!address) return 0;
    if (address->is_loopback()) return std::nullopt;
    if (address->is_v4()) return v4_mark | address->to_v4().to_uint();
    std::uint64_t network = 0;
    const auto bytes = address->to_v6().to_bytes();
    for (std::size_t i = 0; i < sizeof network; ++i)
        network = network << 8 | bytes[i];
    return network;
}

}  // namespace

std::string_view client_address(const Request& request, int trusted_hops) {
    if (trusted_hops <= 0) return request.remote_address;
    std::vector<std::string_view> hops;
    for (const auto& [name, value] : request.headers) {
        if (name != "x-forwarded-for") continue;
        std::string_view rest = value;
        while (!rest.empty()) {
            const std::size_t comma = rest.find(',');
            hops.push_back(trimmed(rest.substr(0, comma)));
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
    }
    const auto wanted = static_cast<std::size_t>(trusted_hops);
    return hops.size() < wanted ? std::string_view(request.remote_address)
                                : without_port(hops[hops.size() - wanted]);
}

std::string network_text(std::string_view text) {
    const auto address = parse_address(text);
    if (!address) return std::string(text);
    if (address->is_v4()) return address->to_string();
    auto bytes = address->to_v6().to_bytes();
    std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), std::uint8_t{0});
    return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

std::optional<Error> AddressLimiter::refuse(const Request& request) {
    if (options_.per_second == 0) return std::nullopt;
    const auto network = network_of(client_address(request, options_.trusted_hops));
    if (!network) return std::nullopt;
    const auto token = std::chrono::nanoseconds(std::chrono::seconds(1)) / options_.per_second;
    const auto now = clock_.steady_now();
    const std::lock_guard lock(mutex_);
    auto found = full_at_.find(*network);
    if (found == full_at_.end()) {
        make_room(now);
        found = full_at_.emplace(*network, now).first;
    }
    const auto full_at = std::max(found->second, now) + token;
    const auto too_early = full_at - (now + std::chrono::seconds(options_.burst_s));
    if (too_early.count() <= 0) {
        found->second = full_at;
        return std::nullopt;
    }
    const auto wait_s = std::chrono::ceil<std::chrono::seconds>(too_early).count();
    return Error{
        ErrorCode::rate_limited, "Too many requests come from this address.", {}, static_cast<int>(wait_s)};
}

void AddressLimiter::make_room(TimePoint now) {
    if (full_at_.size() < options_.max_addresses) return;
    if (now >= next_sweep_) {
        next_sweep_ = now + sweep_interval;
        // A full bucket is like none.
        std::erase_if(full_at_, [now](const auto& entry) { return entry.second <= now; });
    }
    if (full_at_.size() >= options_.max_addresses) full_at_.erase(full_at_.begin());
}

std::size_t AddressLimiter::remembered() const {
    const std::lock_guard lock(mutex_);
    return full_at_.size();
}

}  // namespace quittance::http
