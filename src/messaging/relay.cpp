#include "messaging/relay.hpp"

#include <utility>

#include "messaging/relay_state.hpp"

namespace quittance::messaging {

Relay::Announcement::Announcement(Announcement&&) noexcept = default;

Relay::Announcement::~Announcement() {
    if (state_) state_->withdraw(intake_, rows_);
}

void Relay::Announcement::release() && noexcept {
    std::exchange(state_, nullptr)->release(intake_, std::move(rows_));
}

Relay::Relay(db::Scheduler& scheduler, const Outbox& outbox, Bus& bus, Random& random, const Clock& clock,
             RelayOptions options, OnPublished on_published)
    : state_(
          std::make_shared<State>(scheduler, outbox, bus, random, clock, options, std::move(on_published))) {}

Relay::~Relay() {
    state_->close();
}

Relay::Announcement Relay::store(db::Session& session, std::vector<OutboxRow> rows) {
    Announcement announcement;
    announcement.intake_ = state_->store(session, rows);
    announcement.rows_ = std::move(rows);
    announcement.state_ = state_;
    return announcement;
}

void Relay::step() {
    state_->step();
}

void Relay::leave(db::Session& session) {
    state_->lease.leave(session);
}

bool Relay::idle() const {
    const std::lock_guard lock(state_->mutex);
    return state_->intake->idle();
}

std::size_t Relay::in_flight() const {
    return state_->in_flight;
}

std::uint64_t Relay::published() const {
    const std::lock_guard lock(state_->mutex);
    return state_->published;
}

std::uint64_t Relay::dead_lettered() const {
    const std::lock_guard lock(state_->mutex);
    return state_->dead_lettered;
}

}  // namespace quittance::messaging
