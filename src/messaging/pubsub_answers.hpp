// Acknowledgements and changes of leases on their way to Pub/Sub, many in one call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.hpp"

namespace quittance::messaging {

class PubsubConnection;

/// Collects until `flush`. What fails for a reason that may pass is kept for the next flush until the lease
/// is over: then it means nothing any more, and the message comes again. Thread safe; owned by a shared_ptr.
class PubsubAnswers : public std::enable_shared_from_this<PubsubAnswers> {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    /// `lease` is what leases are extended to.
    PubsubAnswers(std::shared_ptr<PubsubConnection> connection, const Clock& clock,
                  std::string subscription_path, std::chrono::seconds lease);

    void set_lease(std::chrono::seconds lease);

    void acknowledge(std::string ack_id);
    /// Lease over now: the service delivers it again after its back-off.
    void hand_back(std::string ack_id);
    void extend(std::vector<std::string> ack_ids);

    /// Starts the calls and returns. After a call that failed, pauses for a moment unless `even_if_paused`.
    void flush(bool even_if_paused = false);
    /// The end: waits until no call is under way, at most so long. What fails later is forgotten, and the
    /// clock is not asked any more.
    void wait(std::chrono::milliseconds timeout);

    /// Enough for a call of its own, so that waiting for more is no use.
    [[nodiscard]] bool many() const;

private:
    enum class Kind { acknowledge, hand_back, extend };
    struct Answer {
        std::string ack_id;
        TimePoint void_after;
    };

    void send(Kind kind, std::vector<Answer> answers, std::chrono::seconds lease);
    void sent(Kind kind, std::vector<Answer> answers, bool again);
    [[nodiscard]] std::vector<Answer>& of(Kind kind);

    const std::shared_ptr<PubsubConnection> connection_;
    const Clock& clock_;
    const std::string subscription_path_;

    mutable std::mutex mutex_;
    std::condition_variable call_ended_;
    std::vector<Answer> acknowledged_;
    std::vector<Answer> handed_back_;
    std::vector<Answer> extended_;
    std::chrono::seconds lease_;
    int calls_ = 0;
    bool abandoned_ = false;
    TimePoint paused_until_{};
};

}  // namespace quittance::messaging
