// How often one address may ask for what is expensive.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "http/message.hpp"

namespace quittance::http {

/// Where a request comes from: the peer, or behind `trusted_hops` proxies, what the outermost of them saw,
/// which is the last but `trusted_hops` - 1 in X-Forwarded-For (what stands before it, the client may have
/// invented). A request that passed fewer proxies comes from its peer.
[[nodiscard]] std::string_view client_address(const Request& request, int trusted_hops);

/// One customer's part of the network, as a text: an IPv4 address, or of an IPv6 address the first 64 bits.
/// What is no address comes back as it is. Pure.
[[nodiscard]] std::string network_text(std::string_view address);

struct AddressLimiterOptions {
    int per_second = 5;    ///< 0: no limit.
    int trusted_hops = 0;  ///< As for `client_address`.
    /// Requests that may come at once after a pause, in seconds' worth.
    int burst_s = 4;
    /// Addresses that are remembered at most, about 60 bytes each. Where there is no room, any makes some.
    std::size_t max_addresses = 65'536;
};

/// A bucket of tokens for each address; an IPv6 network of 64 bits counts as one, because one customer has it
/// all. The machine's own addresses have no limit: what comes from there is its owner, or a proxy that nobody
/// has named, behind which all would share one bucket. Thread safe.
class AddressLimiter {
public:
    AddressLimiter(AddressLimiterOptions options, const Clock& clock) : options_(options), clock_(clock) {}

    /// Takes a token for the request; `rate_limited` with the time to wait when there is none.
    [[nodiscard]] std::optional<Error> refuse(const Request& request);

    /// Where the request comes from, as `network_text` writes it; this machine's own addresses, too.
    [[nodiscard]] std::string network(const Request& request) const {
        return network_text(client_address(request, options_.trusted_hops));
    }

    [[nodiscard]] std::size_t remembered() const;

private:
    using TimePoint = std::chrono::steady_clock::time_point;

    void make_room(TimePoint now);

    const AddressLimiterOptions options_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    /// When the bucket of a network will be full again.
    std::unordered_map<std::uint64_t, TimePoint> full_at_;
    TimePoint next_sweep_{};
};

}  // namespace quittance::http
