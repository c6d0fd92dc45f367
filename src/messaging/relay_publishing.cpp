// The relay's way to the bus, and from its answer to the removal of the row; see relay.hpp.
#include <algorithm>
#include <iterator>
#include <utility>

#include "core/canary.hpp"
#include "messaging/relay_state.hpp"
#include "telemetry/log.hpp"

namespace quittance::messaging {

/// Only one thread at a time publishes, so that a bus that answers at once does not recurse for each message
/// of a key, and what arrives meanwhile goes out as a batch.
void Relay::State::publish_ready() {
    std::unique_lock lock(mutex);
    if (publishing) return;
    publishing = true;
    try {
        while (!closed && (intake->any_ready() || retries.waiting() > 0)) {
            const TimePoint now = clock.steady_now();
            if (!may_publish(now) || (!intake->any_ready() && !retries.any_due(now))) break;
            const auto rows = retries.take(intake->take_ready(), now);
            if (rows.empty()) continue;
            const Intake of_intake = intake;
            lock.unlock();
            publish(of_intake, rows);
            lock.lock();
        }
    } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        publishing = false;
        throw;
    }
    publishing = false;
}

/// The duty to tell the relay what became of a message. Destroyed without an answer, because the bus threw or
/// dropped it, it counts as failed.
class Relay::State::Answer {
public:
    Answer(std::shared_ptr<State> state, Intake of_intake, Row row)
        : state_(std::move(state)), of_intake_(std::move(of_intake)), row_(std::move(row)) {
        ++state_->in_flight;
    }
    Answer(Answer&&) noexcept = default;
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
    Answer& operator=(Answer&&) = delete;
    ~Answer() {
        if (state_) answer({PublishOutcome::failed, {}, 0});
    }
    void operator()(PublishResult result) { answer(std::move(result)); }

private:
    void answer(PublishResult result) noexcept {
        const auto state = std::exchange(state_, nullptr);
        state->answered(of_intake_, row_, std::move(result));
    }

    std::shared_ptr<State> state_;
    Intake of_intake_;
    Row row_;
};

void Relay::State::publish(const Intake& of_intake, const std::vector<Row>& rows) {
    std::vector<std::pair<std::string_view, std::vector<Outgoing>>> topics;
    for (const Row& row : rows) {
        if (planted(Canary::delete_before_publish)) {
            removal_lane.submit({of_intake, row}, [](const Result<Done>&) {});
        }
        auto topic = std::ranges::find(topics, row->topic, [](const auto& entry) { return entry.first; });
        if (topic == topics.end()) {
            topics.emplace_back(row->topic, std::vector<Outgoing>());
            topic = std::prev(topics.end());
        }
        topic->second.push_back({row->message, Answer(shared_from_this(), of_intake, row)});
    }
    for (auto& [topic, messages] : topics) {
        try {
            bus.publish(std::string(topic), std::move(messages));
        } catch (const std::exception& failure) {
            // What it did not take was answered by its destruction.
            log::warning("the bus failed to publish", {{"topic", topic}, {"reason", failure.what()}});
        }
    }
}

void Relay::State::answered(const Intake& of_intake, const Row& row, PublishResult result) noexcept {
    guarded([&] {
        if (!settle(of_intake, row, result)) return;
        publish_ready();
        const bool dead = result.outcome == PublishOutcome::dead_lettered;
        if (dead) {
            log::error("a message became a dead letter", {{"event_id", row->message.id},
                                                          {"type", row->message.type},
                                                          {"reason", result.reason},
                                                          {"delivery_attempts", result.delivery_attempts}});
        }
        remove({of_intake, row, dead, std::move(result.reason), result.delivery_attempts});
    });
}

/// Notes the answer of the bus; true when it is done with the row, which is to be removed.
bool Relay::State::settle(const Intake& of_intake, const Row& row, PublishResult& result) {
    const std::lock_guard lock(mutex);
    --in_flight;
    if (closed) return false;
    if (result.outcome == PublishOutcome::failed) {
        if (of_intake == intake) retries.failed(row, clock.steady_now());
        ++failures_since_log;
        if (!result.reason.empty()) last_failure = std::move(result.reason);
        return false;
    }
    if (recovery.failures() > 0) recovery.succeeded();
    retries.succeeded(*row);
    // What others have taken over is theirs; but when it is published, it need not be again.
    if (of_intake != intake) return result.outcome != PublishOutcome::dead_lettered;
    intake->settle(*row);
    return true;
}

void Relay::State::remove(Finished finished) {
    removal_lane.submit(finished,
                        [this, finished](const Result<Done>& result) { removed(finished, result); });
}

std::vector<Result<Done>> Relay::State::remove_finished(db::Session& session,
                                                        std::span<Finished> finished) const {
    std::vector<std::string> ids;
    std::vector<OutboxRow> confirmed;
    std::vector<DeadLetter> dead;
    for (const Finished& one : finished) {
        ids.push_back(one.row->message.id);
        if (one.dead) {
            dead.push_back({*one.row, one.reason, one.delivery_attempts, clock.now()});
        } else {
            confirmed.push_back(*one.row);
        }
    }
    std::vector<Result<Done>> results(finished.size(), Done{});
    db::Transaction transaction(session);
    outbox.insert_dead_letters(session, dead);
    outbox.remove(session, ids);
    if (on_published && !confirmed.empty()) on_published(session, confirmed);
    transaction.commit();
    return results;
}

void Relay::State::removed(Finished finished, const Result<Done>& result) noexcept {
    guarded([&] {
        std::optional<OwnedRead> read;
        {
            const std::lock_guard lock(mutex);
            if (closed) return;
            if (!result) {
                const auto pause = backoff(options.retry, ++finished.removal_failures, random);
                removal_retries.emplace(clock.steady_now() + pause, std::move(finished));
                return;
            }
            ++(finished.dead ? dead_lettered : published);
            if (finished.intake == intake) intake->removed(*finished.row);
            read = next_read();
        }
        start(std::move(read));
    });
}

}  // namespace quittance::messaging
