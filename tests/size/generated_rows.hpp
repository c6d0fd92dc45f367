// Databases with as many rows as a test wants, made by the server itself.
#pragma once

#include <cstdint>
#include <string>

#include "core/ids.hpp"
#include "db/database.hpp"

namespace quittance::size {

/// The instant that is "now" for the generated rows; ages count back from it.
inline constexpr std::int64_t now_ms = 1'800'000'000'000;

/// Owners of the outbox: one is registered, the other is not.
inline constexpr std::string_view living_owner = "living-instance";
inline constexpr std::string_view dead_owner = "dead-instance";

/// The n-th id, 1 and up: of an order, a payment, a user and so on. Ids ascend.
[[nodiscard]] std::string nth_id(std::int64_t n);

/// Fills the databases of the two services, which have their schema and nothing else, with `rows` orders,
/// payments, outbox rows and so on. What is purged is old in half of the rows or more.
void fill_orders(db::Session& session, std::int64_t rows);
void fill_payments(db::Session& session, std::int64_t rows);
/// `rows` rows of the outbox that belong to one owner.
void fill_outbox(db::Session& session, std::int64_t rows, std::string_view owner);
/// A balanced capture for each payment of `fill_payments`, chained as the service does it.
void fill_ledger(db::Session& session, std::int64_t rows);

/// Orders that are paid, with their payments and the ledger's entries, and nothing that a service would have
/// to do.
void fill_shop(db::Session& orders, db::Session& payments, std::int64_t rows);

/// Tells the planner what the tables hold, where the engine has to be told.
void analyze(db::Session& session);

}  // namespace quittance::size
