#include "messaging/relay_orphans.hpp"

#include <utility>

namespace quittance::messaging {

namespace {

/// Looks into the index in one step.
constexpr int owners_looked_at = 64;

const std::string select_instance = "SELECT heartbeat FROM relay_instances WHERE id = :id";

}  // namespace

RelayOrphans::Step RelayOrphans::step(db::Session& session) {
    for (int looked = 0; looked < owners_looked_at; ++looked) {
        auto owner = outbox_.next_owner(session, after_);
        if (!owner) {
            after_.clear();
            return {0, true};
        }
        // After its rows were seen: an instance registers before it stores its first row.
        if (!session.select<std::int64_t>(select_instance, {*owner}).empty()) {
            after_ = std::move(*owner);
            continue;
        }
        db::Transaction transaction(session);
        const std::int64_t freed = outbox_.leave_to_nobody(session, *owner);
        transaction.commit();
        if (freed == 0) after_ = std::move(*owner);
        return {freed, false};
    }
    return {};
}

}  // namespace quittance::messaging
