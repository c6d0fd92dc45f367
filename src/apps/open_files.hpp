// How many files, which sockets are, too, the program may have open.
#pragma once

#include <cstddef>

namespace quittance::apps {

/// Raises the soft limit towards the hard one, as far as we can use it; returns what it is then. Systems
/// start programs with a soft limit of 1024 for the sake of those that cannot work with more.
std::size_t raise_open_files_limit();

/// How many of so many files may be clients' connections: the rest is kept for databases, Pub/Sub, the
/// provider and our own, so that clients cannot take it.
[[nodiscard]] std::size_t connections_within(std::size_t open_files);

}  // namespace quittance::apps
