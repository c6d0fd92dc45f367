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
/// At the end of the program, its rows are freed for so long; what is left then is found by a search.
constexpr std::chrono::milliseconds longest_freeing{500};

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
        bool peers_ended = false;  ///< Instances were declared dead: their rows are to be freed.
    };
    /// Beats once, joining when necessary; declares dead who has been silent. Touches the table of instances
    /// only, which has a row for each: the renewal takes as long as a few round trips, however large the
    /// outbox is.
    [[nodiscard]] Held renew(db::Session& session);
    /// Gives up the id that is held, so that `renew` joins under a new one. What was stored under the old one
    /// belongs to an instance that has ended.
    void give_up(db::Session& session);

    /// At the end of the program: what it has not published is free at once, of very many rows a part.
    void leave(db::Session& session);

private:
    using TimePoint = std::chrono::steady_clock::time_point;
    struct Peer {
        std::int64_t heartbeat = 0;
        std::chrono::steady_clock::duration silent_for{0};
    };

    void join(db::Session& session);
    [[nodiscard]] bool watch_others(db::Session& session);

    const Outbox& outbox_;
    Random& random_;
    const Clock& clock_;
    const bool alone_;
    std::string id_;
    std::unordered_map<std::string, Peer> others_;
    TimePoint watched_at_;
};

}  // namespace quittance::messaging
