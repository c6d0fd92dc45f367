// Finds the rows of instances that have ended, and frees them for those that live.
#pragma once

#include <cstdint>
#include <string>

#include "db/database.hpp"
#include "messaging/outbox.hpp"

namespace quittance::messaging {

/// A search for orphaned rows: rows of the outbox whose owner is not registered any more. It goes through the
/// owners, one look into the index each, and never counts or reads the rows of the owners that live. Works in
/// steps of one transaction at most, so that a search over any number of rows holds up nothing else. Throws
/// what the session throws; the search then goes on from where it was. Used by one thread at a time.
class RelayOrphans {
public:
    explicit RelayOrphans(const Outbox& outbox) : outbox_(outbox) {}

    struct Step {
        std::int64_t freed = 0;
        bool finished = false;  ///< No owner was left to look at; the next step begins a new search.
    };
    /// Rows that another transaction has locked stay for the next search.
    [[nodiscard]] Step step(db::Session& session);

private:
    const Outbox& outbox_;
    std::string after_;  ///< Owners up to this one have been looked at.
};

}  // namespace quittance::messaging
