#include "messaging/pubsub_lease_time.hpp"

#include <algorithm>

namespace quittance::messaging {

void PubsubLeaseTime::observe(std::chrono::steady_clock::duration took) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(took);
    ++by_seconds_[static_cast<std::size_t>(std::clamp(seconds, shortest, longest).count())];
    ++count_;
    if (count_ < remembered) return;
    count_ = 0;
    for (std::uint64_t& of_second : by_seconds_) {
        of_second /= 2;
        count_ += of_second;
    }
}

std::chrono::seconds PubsubLeaseTime::current() const {
    const std::uint64_t slower_allowed = count_ / 100;
    std::uint64_t slower = 0;
    for (std::size_t second = by_seconds_.size() - 1;; --second) {
        slower += by_seconds_[second];
        if (slower > slower_allowed || second == static_cast<std::size_t>(shortest.count()))
            return std::chrono::seconds(second);
    }
}

}  // namespace quittance::messaging
