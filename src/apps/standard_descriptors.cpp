#include "apps/standard_descriptors.hpp"

#include <cerrno>
#include <initializer_list>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace quittance::apps {

namespace {

void open_missing() noexcept {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        // Straight from the kernel: a sanitizer's version of these functions may not be ready yet.
        if (::syscall(SYS_fcntl, descriptor, F_GETFD) != -1 || errno != EBADF) continue;
        const int access = descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY;
        // The lowest number that is free, which is this one: those below it are open by now.
        if (::syscall(SYS_openat, AT_FDCWD, "/dev/null", access) != descriptor) ::_exit(2);
    }
}

/// Shared libraries open descriptors, such as an eventfd, when they are loaded. What stands in this section
/// runs before them.
[[gnu::section(".preinit_array"), gnu::used]] void (*const open_before_libraries)() = open_missing;

}  // namespace

void open_standard_descriptors() noexcept {
    open_missing();
}

}  // namespace quittance::apps
