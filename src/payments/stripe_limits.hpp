// How often Stripe may be asked, and when it is left alone. Both decide only: the caller brings the time and
// the lock.
#pragma once

#include <algorithm>
#include <chrono>

namespace quittance::payments {

/// A token bucket that hands out moments instead of tokens: everybody who asks gets the next free one.
class TokenBucket {
public:
    using Time = std::chrono::steady_clock::time_point;

    /// `per_second` on the long run, as many as `burst` at once.
    TokenBucket(double per_second, double burst)
        : interval_(
              std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(1 / per_second))),
          credit_(
              std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(burst / per_second)) -
              interval_) {}

    /// The moment at which the next caller may go; not before `now`.
    [[nodiscard]] Time next(Time now) const { return std::max(next_, now); }
    /// The same, which is then the caller's.
    [[nodiscard]] Time take(Time now) {
        next_ = std::max(next_, now - credit_);
        const Time moment = std::max(next_, now);
        next_ += interval_;
        return moment;
    }

private:
    Time::duration interval_;
    Time::duration credit_;
    Time next_{};
};

/// Opens after failures in a row and lets nobody through for a while, then one; its success closes it.
class CircuitBreaker {
public:
    using Time = std::chrono::steady_clock::time_point;

    CircuitBreaker(int failures_to_open, std::chrono::milliseconds open_for)
        : failures_to_open_(failures_to_open), open_for_(open_for) {}

    /// Whoever is let through has to report how it went.
    [[nodiscard]] bool lets_through(Time now) {
        if (!is_open()) return true;
        if (now < shut_until_) return false;
        shut_until_ = now + open_for_;
        return true;
    }
    void succeeded() { failures_ = 0; }
    void failed(Time now) {
        if (++failures_ >= failures_to_open_) shut_until_ = now + open_for_;
    }
    /// For a failure that repeating cannot mend, such as a key that is refused.
    void trip(Time now) {
        failures_ = std::max(failures_, failures_to_open_);
        shut_until_ = now + open_for_;
    }
    [[nodiscard]] bool is_open() const { return failures_ >= failures_to_open_; }

private:
    int failures_to_open_;
    std::chrono::milliseconds open_for_;
    int failures_ = 0;
    Time shut_until_{};
};

}  // namespace quittance::payments
