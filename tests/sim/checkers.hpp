// The promises, checked over databases, history and the provider's books. Each throws Violation.
#pragma once

#include <map>
#include <set>
#include <string>

#include "messaging/bus.hpp"
#include "tests/sim/clients.hpp"
#include "tests/sim/databases.hpp"
#include "tests/sim/provider.hpp"

namespace quittance::sim {

/// Events go out in the order in which they came about, each order's for itself. A repetition may come at any
/// time.
class EventOrder {
public:
    void published(const messaging::Message& message);

private:
    std::set<std::string> seen_;                     ///< Ids of events.
    std::map<std::string, std::int64_t> last_rank_;  ///< By event source, order and attempt.
};

/// What is acknowledged has had its effect, and the effect is committed.
void check_acknowledged(const messaging::Message& message, Database& orders, Database& payments);

/// Why something is still under way; empty when nothing is.
[[nodiscard]] std::string unsettled(Database& orders, Database& payments);

/// When all is settled: orders, payments, refunds, ledger and the provider's books say the same, and it is
/// what the services have claimed.
void check_the_end(const Claims& claims, const Provider& provider, Database& orders, Database& payments);

}  // namespace quittance::sim
