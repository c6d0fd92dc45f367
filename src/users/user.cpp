#include "users/user.hpp"

#include <algorithm>

#include "core/utf8.hpp"
#include "users/common_passwords.hpp"

namespace quittance::users {

namespace {

constexpr std::size_t max_email_local_bytes = 64;   // RFC 5321 section 4.5.3.1.1.
constexpr std::size_t max_domain_label_bytes = 63;  // RFC 1035 section 2.3.4.

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

char to_lower_ascii(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string to_lower_ascii(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) { return to_lower_ascii(c); });
    return lower;
}

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_control(char c) {
    return (c >= 0 && c < ' ') || c == '\x7F';
}

bool is_email_local_part(std::string_view text) {
    static constexpr std::string_view also_allowed = ".!#$%&'*+/=?^_`{|}~-";
    return !text.empty() && text.size() <= max_email_local_bytes && std::ranges::all_of(text, [](char c) {
        return is_alphanumeric(c) || also_allowed.find(c) != std::string_view::npos;
    });
}

bool is_domain_label(std::string_view text) {
    return !text.empty() && text.size() <= max_domain_label_bytes && text.front() != '-' &&
           text.back() != '-' &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_domain(std::string_view text) {
    while (true) {
        const std::size_t dot = text.find('.');
        if (!is_domain_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

/// One character repeated ("aaaaaaaa") or a run through the alphabet or the digits ("23456789", "hgfedcba").
bool is_a_run(std::string_view text) {
    const std::u32string characters = code_points(text);
    const auto step_from = [](char32_t a, char32_t b) {
        return static_cast<std::int64_t>(b) - static_cast<std::int64_t>(a);
    };
    const std::int64_t step = step_from(characters[0], characters[1]);
    if (step < -1 || step > 1) return false;
    return std::ranges::adjacent_find(characters, [&](char32_t a, char32_t b) {
               return step_from(a, b) != step;
           }) == characters.end();
}

bool is_common_password(std::string_view password) {
    const std::string lower = to_lower_ascii(password);
    return is_a_run(lower) || std::ranges::binary_search(common_passwords, std::string_view(lower));
}

std::string at_most(std::size_t characters) {
    return "must have at most " + std::to_string(characters) + " characters";
}

void check_name(const std::string& name, std::vector<Fault>& faults) {
    if (std::ranges::any_of(name, is_control) || !is_utf8(name)) {
        faults.push_back({"/name", "must be text without control characters"});
    } else if (count_characters(name) > max_name_characters) {
        faults.push_back({"/name", at_most(max_name_characters)});
    } else if (std::ranges::all_of(name, is_space)) {
        faults.push_back({"/name", "must not be blank"});
    }
}

void check_email(const std::string& email, std::vector<Fault>& faults) {
    const std::size_t at = email.find('@');
    if (count_characters(email) > max_email_characters) {
        faults.push_back({"/email", at_most(max_email_characters)});
    } else if (at == std::string::npos || !is_email_local_part(std::string_view(email).substr(0, at)) ||
               !is_domain(std::string_view(email).substr(at + 1))) {
        faults.push_back({"/email", "must be an e-mail address such as name@example.com"});
    }
}

void check_password(const std::string& password, const std::string& email, std::vector<Fault>& faults) {
    if (!is_utf8(password)) {
        faults.push_back({"/password", "must be text in UTF-8"});
    } else if (count_characters(password) < min_password_characters) {
        faults.push_back(
            {"/password", "must have at least " + std::to_string(min_password_characters) + " characters"});
    } else if (count_characters(password) > max_password_characters) {
        faults.push_back({"/password", at_most(max_password_characters)});
    } else if (normalize_email(password) == email) {
        faults.push_back({"/password", "must not be the e-mail address"});
    } else if (is_common_password(password)) {
        faults.push_back({"/password", "is too easy to guess"});
    }
}

bool is_forgotten(const LoginFailures& failures, Timestamp now) {
    return failures.count == 0 || now - failures.last_at >= login_failures_forgotten_after;
}

/// How a source's failures turn into a delay.
struct DelayRule {
    int free_failures;
    std::chrono::seconds first;
};
constexpr DelayRule usual_rule{free_login_failures, first_login_delay};
constexpr DelayRule rule_under_attack{0, first_login_delay_under_attack};

std::chrono::milliseconds delay_after(int failures, const DelayRule& rule) {
    const int doublings = failures - rule.free_failures - 1;
    if (doublings < 0) return std::chrono::milliseconds(0);
    std::chrono::milliseconds delay = rule.first;
    for (int i = 0; i < doublings && delay < longest_login_delay; ++i)
        delay *= 2;
    return std::min<std::chrono::milliseconds>(delay, longest_login_delay);
}

}  // namespace

Secret normalize_password(const Secret& password) {
    return is_utf8(password.reveal()) ? Secret(to_nfc(password.reveal())) : password;
}

std::string normalize_email(std::string_view text) {
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_space(text.back()))
        text.remove_suffix(1);
    return to_lower_ascii(text);
}

std::vector<Fault> registration_faults(const Registration& registration) {
    std::vector<Fault> faults;
    check_name(registration.name, faults);
    check_email(registration.email, faults);
    check_password(registration.password.reveal(), registration.email, faults);
    return faults;
}

std::chrono::milliseconds login_delay(const LoginFailures& source, const LoginFailures& account,
                                      int in_flight, Timestamp now) {
    const bool attacked = !is_forgotten(account, now) && account.count >= failures_of_an_attack;
    const DelayRule& rule = attacked ? rule_under_attack : usual_rule;
    const int count = is_forgotten(source, now) ? 0 : source.count;
    // As if one of those in flight failed now. They may as well succeed, so their number makes the delay no
    // longer.
    if (in_flight > 0 && count + in_flight > rule.free_failures) {
        return delay_after(std::max(count, rule.free_failures) + 1, rule);
    }
    const auto delay = delay_after(count, rule);
    // The upper bound is for a wall clock that was set back.
    return std::clamp<std::chrono::milliseconds>(source.last_at + delay - now, std::chrono::milliseconds(0),
                                                 delay);
}

LoginFailures with_login_failure(const LoginFailures& failures, Timestamp now) {
    return {is_forgotten(failures, now) ? 1 : failures.count + 1, now};
}

RefreshVerdict judge_refresh(const RefreshFamily& family, std::string_view presented_token_hash,
                             Timestamp now) {
    if (now >= family.expires_at) return RefreshVerdict::expire;
    return presented_token_hash == family.current_token_hash ? RefreshVerdict::rotate
                                                             : RefreshVerdict::revoke;
}

}  // namespace quittance::users
