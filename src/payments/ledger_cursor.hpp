// Where a page of the ledger begins, as callers carry it about. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quittance::payments {

/// Behind which entry a page begins.
struct LedgerCursor {
    std::int64_t posted_at_ms = 0;
    std::int64_t chain = 0;
    std::int64_t seq = 0;

    bool operator==(const LedgerCursor&) const = default;
};

/// Three whole numbers with dots between.
[[nodiscard]] std::string to_text(const LedgerCursor& cursor);
/// nullopt for what `to_text` cannot have written.
[[nodiscard]] std::optional<LedgerCursor> parse_ledger_cursor(std::string_view text);

/// A number from 0 on, in digits only.
[[nodiscard]] std::optional<std::int64_t> parse_whole_number(std::string_view text);

}  // namespace quittance::payments
