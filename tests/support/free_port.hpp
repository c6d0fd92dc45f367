// A place for a server of a test.
#pragma once

#include <cstdint>

namespace quittance::test_support {

/// A port of 127.0.0.1 that nobody listens on now. Throws std::runtime_error when there is none.
[[nodiscard]] std::uint16_t free_port();

}  // namespace quittance::test_support
