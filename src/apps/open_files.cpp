#include "apps/open_files.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace quittance::apps {

namespace {

/// Many times the connections that a server takes at most.
constexpr rlim_t useful_open_files = 65'536;
/// Two databases with a hundred connections each, Pub/Sub's and the provider's, and some to spare.
constexpr std::size_t reserved_open_files = 300;

}  // namespace

std::size_t raise_open_files_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    const rlim_t wanted = std::min(limit.rlim_max, useful_open_files);
    if (limit.rlim_cur < wanted) {
        const rlimit raised{wanted, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return std::min(limit.rlim_cur, useful_open_files);
}

std::size_t connections_within(std::size_t open_files) {
    // Where there are few, half of them.
    return open_files - std::min(reserved_open_files, open_files / 2);
}

}  // namespace quittance::apps
