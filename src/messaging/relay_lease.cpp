#include "messaging/relay_lease.hpp"

#include <algorithm>
#include <utility>

#include "telemetry/log.hpp"

namespace quittance::messaging {

namespace {

using Duration = std::chrono::steady_clock::duration;

/// 96 bits: no two instances share an id.
constexpr std::size_t id_bytes = 12;

const std::string insert_instance = "INSERT INTO relay_instances (id, heartbeat) VALUES (:id, 0)";
const std::string update_heartbeat = "UPDATE relay_instances SET heartbeat = heartbeat + 1 WHERE id = :id";
const std::string select_others = "SELECT id, heartbeat FROM relay_instances WHERE id <> '' AND id <> :id";
const std::string delete_all = "DELETE FROM relay_instances WHERE id <> ''";
const std::string delete_instance = "DELETE FROM relay_instances WHERE id = :id";
/// Only while it is as silent as it was seen.
const std::string delete_silent = "DELETE FROM relay_instances WHERE id = :id AND heartbeat = :heartbeat";

}  // namespace

RelayLease::RelayLease(const Outbox& outbox, Random& random, const Clock& clock, bool alone)
    : outbox_(outbox), random_(random), clock_(clock), alone_(alone), watched_at_(clock.steady_now()) {}

RelayLease::Held RelayLease::renew(db::Session& session) {
    const auto started = clock_.steady_now();
    if (id_.empty() || session.execute(update_heartbeat, {id_}) == 0) join(session);
    if (alone_) return {id_, TimePoint::max()};
    const bool peers_ended = watch_others(session);
    return {id_, started + relay_lease, peers_ended};
}

void RelayLease::join(db::Session& session) {
    if (!id_.empty()) log::warning("this instance was silent for so long that others publish its events", {});
    if (alone_) session.execute(delete_all);
    std::string id = random_.token(id_bytes);
    session.execute(insert_instance, {id});
    id_ = std::move(id);
}

void RelayLease::give_up(db::Session& session) {
    if (id_.empty()) return;
    session.execute(delete_instance, {id_});
    id_.clear();
}

/// True when it declared others dead.
bool RelayLease::watch_others(db::Session& session) {
    const auto now = clock_.steady_now();
    // Of a pause of our own we know nothing about the others.
    const Duration since = std::min<Duration>(now - watched_at_, 2 * heartbeat_interval);
    std::unordered_map<std::string, Peer> seen;
    bool any_ended = false;
    for (const auto& [id, heartbeat] : session.select<std::string, std::int64_t>(select_others, {id_})) {
        const auto known = others_.find(id);
        Peer peer{heartbeat, Duration::zero()};
        if (known != others_.end() && known->second.heartbeat == heartbeat)
            peer.silent_for = known->second.silent_for + since;
        if (peer.silent_for >= silence_of_the_dead) {
            if (session.execute(delete_silent, {id, heartbeat}) == 0) continue;
            log::warning("another instance has been silent; its events are taken over", {{"instance", id}});
            any_ended = true;
        } else {
            seen.emplace(id, peer);
        }
    }
    others_ = std::move(seen);
    watched_at_ = now;
    return any_ended;
}

void RelayLease::leave(db::Session& session) {
    if (id_.empty()) return;
    const auto started = clock_.steady_now();
    const std::string owner = id_;
    give_up(session);
    while (clock_.steady_now() - started < longest_freeing) {
        db::Transaction transaction(session);
        const std::int64_t freed = outbox_.leave_to_nobody(session, owner);
        transaction.commit();
        if (freed == 0) return;
    }
}

}  // namespace quittance::messaging
