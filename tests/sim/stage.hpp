// What everything in one simulated world shares: its time, its events to come, and the record of what was.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/manual_clock.hpp"
#include "tests/sim/faults.hpp"

namespace quittance::sim {

using std::chrono::milliseconds;

/// A promise of the product was broken. No std::exception, for the reason that `Crash` is none.
struct Violation {
    std::string rule;  ///< The same for the same promise, to compare by.
    std::string what;  ///< For people.
};

/// Every line with its moment: the same seed writes the same lines.
class History {
public:
    explicit History(const ManualClock& clock) : clock_(clock) {}

    void note(const std::string& what);
    [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
    /// FNV-1a over all lines.
    [[nodiscard]] std::uint64_t digest() const;

private:
    const ManualClock& clock_;
    std::vector<std::string> lines_;
};

/// Things to come, in the order of their time and, at the same moment, of their planning.
class EventQueue {
public:
    using Event = absl::AnyInvocable<void()>;

    explicit EventQueue(ManualClock& clock) : clock_(clock) {}

    void after(milliseconds delay, Event event) {
        events_.emplace(std::pair(clock_.now() + delay, next_number_++), std::move(event));
    }
    /// Moves the clock to the next event and lets it happen; false when there is none.
    bool step();
    /// Nothing that was planned happens any more.
    void clear() { std::exchange(events_, {}).clear(); }

private:
    ManualClock& clock_;
    std::map<std::pair<Timestamp, std::uint64_t>, Event> events_;
    std::uint64_t next_number_ = 0;
};

/// Until when the database fails the statements of a process, and how.
struct DatabaseOutage {
    enum class Kind {
        unreachable,
        statements_cut,  ///< As by a limit on the time of a statement.
        read_only,       ///< And so are its connections, until they are opened again.
    };

    Kind kind = Kind::unreachable;
    Timestamp until;
};

struct Stage {
    explicit Stage(const std::vector<Fault>& faults_planned) : faults(faults_planned) {}
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    ManualClock clock;
    History history{clock};
    Faults faults;
    EventQueue queue{clock};
    std::map<int, DatabaseOutage> database_outages;  ///< By process; the last of each.
    int late_calls = 0;  ///< On their way to the provider, and given up by their callers.
    Timestamp provider_away_until;
};

/// Enough of an id to tell it from the others of one history.
[[nodiscard]] inline std::string tail(const std::string& id) {
    return id.size() <= 6 ? id : id.substr(id.size() - 6);
}

}  // namespace quittance::sim
