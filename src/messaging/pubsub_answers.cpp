#include "messaging/pubsub_answers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

namespace {

/// A call may be 512 KiB long, and an id takes up to about 200 bytes.
constexpr std::size_t max_ids_per_call = 2'500;
constexpr std::chrono::milliseconds call_timeout{10'000};
/// Leases are extended five seconds before their end: one that hangs leaves time for another.
constexpr std::chrono::milliseconds extend_timeout{2'000};
constexpr std::chrono::milliseconds pause_after_failure{1'000};

}  // namespace

PubsubAnswers::PubsubAnswers(std::shared_ptr<PubsubConnection> connection, const Clock& clock,
                             std::string subscription_path, std::chrono::seconds lease)
    : connection_(std::move(connection)),
      clock_(clock),
      subscription_path_(std::move(subscription_path)),
      lease_(lease) {}

void PubsubAnswers::set_lease(std::chrono::seconds lease) {
    const std::lock_guard lock(mutex_);
    lease_ = lease;
}

std::vector<PubsubAnswers::Answer>& PubsubAnswers::of(Kind kind) {
    switch (kind) {
        case Kind::acknowledge: return acknowledged_;
        case Kind::hand_back: return handed_back_;
        case Kind::extend: break;
    }
    return extended_;
}

void PubsubAnswers::acknowledge(std::string ack_id) {
    const std::lock_guard lock(mutex_);
    acknowledged_.push_back({std::move(ack_id), clock_.steady_now() + lease_});
}

void PubsubAnswers::hand_back(std::string ack_id) {
    const std::lock_guard lock(mutex_);
    handed_back_.push_back({std::move(ack_id), clock_.steady_now() + lease_});
}

void PubsubAnswers::extend(std::vector<std::string> ack_ids) {
    const std::lock_guard lock(mutex_);
    for (std::string& ack_id : ack_ids)
        extended_.push_back({std::move(ack_id), clock_.steady_now() + lease_ / 2});
}

bool PubsubAnswers::many() const {
    const std::lock_guard lock(mutex_);
    return clock_.steady_now() >= paused_until_ && acknowledged_.size() >= max_ids_per_call;
}

void PubsubAnswers::flush(bool even_if_paused) {
    std::vector<std::pair<Kind, std::vector<Answer>>> calls;
    std::chrono::seconds lease{0};
    {
        const std::lock_guard lock(mutex_);
        lease = lease_;
        const TimePoint now = clock_.steady_now();
        if (now < paused_until_ && !even_if_paused) return;
        // Extensions first: what an answer of the same moment says then stands.
        for (const Kind kind : {Kind::extend, Kind::hand_back, Kind::acknowledge}) {
            auto& answers = of(kind);
            std::erase_if(answers, [&](const Answer& answer) { return answer.void_after < now; });
            for (auto at = answers.begin(); at != answers.end();) {
                const auto count =
                    std::min<std::ptrdiff_t>(answers.end() - at, static_cast<int>(max_ids_per_call));
                calls.emplace_back(
                    kind, std::vector<Answer>(std::move_iterator(at), std::move_iterator(at + count)));
                at += count;
            }
            answers.clear();
        }
        calls_ += static_cast<int>(calls.size());
    }
    for (auto& [kind, answers] : calls)
        send(kind, std::move(answers), lease);
}

void PubsubAnswers::send(Kind kind, std::vector<Answer> answers, std::chrono::seconds lease) {
    struct Call {
        grpc::ClientContext context;
        google::pubsub::v1::AcknowledgeRequest acknowledge;
        google::pubsub::v1::ModifyAckDeadlineRequest modify;
        google::protobuf::Empty response;
        std::vector<Answer> answers;
    };
    auto call = std::make_shared<Call>();
    prepare(call->context, kind == Kind::extend ? extend_timeout : call_timeout, "subscription",
            subscription_path_);
    call->answers = std::move(answers);
    auto done = [self = shared_from_this(), call, kind](const grpc::Status& status) {
        self->sent(kind, std::move(call->answers), !status.ok() && is_retryable(status.error_code()));
    };
    auto* api = connection_->subscriber().async();
    if (kind == Kind::acknowledge) {
        call->acknowledge.set_subscription(subscription_path_);
        for (const Answer& answer : call->answers)
            call->acknowledge.add_ack_ids(answer.ack_id);
        api->Acknowledge(&call->context, &call->acknowledge, &call->response, std::move(done));
    } else {
        call->modify.set_subscription(subscription_path_);
        call->modify.set_ack_deadline_seconds(kind == Kind::extend ? static_cast<int>(lease.count()) : 0);
        for (const Answer& answer : call->answers)
            call->modify.add_ack_ids(answer.ack_id);
        api->ModifyAckDeadline(&call->context, &call->modify, &call->response, std::move(done));
    }
}

void PubsubAnswers::sent(Kind kind, std::vector<Answer> answers, bool again) {
    const std::lock_guard lock(mutex_);
    if (again && !abandoned_) {
        std::ranges::move(answers, std::back_inserter(of(kind)));
        paused_until_ = clock_.steady_now() + pause_after_failure;
    }
    --calls_;
    call_ended_.notify_all();
}

void PubsubAnswers::wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    call_ended_.wait_for(lock, timeout, [this] { return calls_ == 0; });
    abandoned_ = true;
}

}  // namespace quittance::messaging
