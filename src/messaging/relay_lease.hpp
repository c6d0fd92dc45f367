// One instance's place among the relays that share a database.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/clock.hpp"
#include "core/random.hpp"
#include "db/database.hpp"
#include "messaging/outbox.hpp"

namespace quittance::messaging {

constexpr std::chrono::milliseconds heartbeat_interval{1'000};
/// After its last heartbeat an instance may publish for so long.
constexpr std::chrono::milliseconds relay_lease{4'000};
/// Seen without a new heartbeat for so long, it is dead, and its rows are free.
constexpr std::chrono::milliseconds silence_of_the_dead{5'000};
static_assert(3 * heartbeat_interval < relay_lease, "a heartbeat or two may get lost");
static_assert(relay_lease < silence_of_the_dead, "who publishes still has its rows");
/// What a transaction stored for an instance that was declared dead meanwhile is looked for this often.
constexpr std::chrono::milliseconds orphan_interval{10'000};
/// The rows of the dead are left to nobody for so long at a time: a heartbeat must not wait for all of many.
constexpr std::chrono::milliseconds longest_freeing{500};
static_assert(heartbeat_interval + longest_freeing < relay_lease, "a heartbeat comes in time all the same");

/// Heartbeats are counters, and everybody measures with a clock of their own how long one stood still: no
/// clocks are compared, neither those of the instances nor that of the database. Works outside of
/// transactions and throws what the session throws; may be repeated at any time. Used by one thread at a
/// time.
class RelayLease {
public:
    /// `alone`: the database is nobody else's, so whoever is registered there is dead, and nobody has to see
    /// that we live.
    RelayLease(const Outbox& outbox, Random& random, const Clock& clock, bool alone);

    struct Held {
        std::string id;  ///< A new one when this instance joined, or was declared dead and joined again.
        std::chrono::steady_clock::time_point until;
    };
    /// Beats once, joining when necessary; declares dead who has been silent, and leaves rows of the dead to
    /// nobody: not those that somebody has locked, and of very many the rest by and by.
    [[nodiscard]] Held renew(db::Session& session);

    /// At the end of the program: what it has not published is free at once, of very many rows a part.
    void leave(db::Session& session);

private:
    using TimePoint = std::chrono::steady_clock::time_point;
    struct Peer {
        std::int64_t heartbeat = 0;
        std::chrono::steady_clock::duration silent_for{0};
    };

    void join(db::Session& session);
    void watch_others(db::Session& session);
    void free_orphans(db::Session& session);
    bool free_rows_of(db::Session& session, const std::string& owner, TimePoint started) const;

    const Outbox& outbox_;
    Random& random_;
    const Clock& clock_;
    const bool alone_;
    std::string id_;
    std::unordered_map<std::string, Peer> others_;
    TimePoint watched_at_;
    TimePoint next_orphan_search_{};
};

}  // namespace quittance::messaging
