// Names of threads, as `top -H` and /proc/PID/task/*/comm show them.
#pragma once

#include <string>

#include <pthread.h>

namespace quittance {

/// What Linux keeps of a thread's name, without the final NUL.
inline constexpr std::size_t max_thread_name = 15;

/// Our threads begin with `q-`; what is longer than 15 characters is cut. The main thread keeps the name of
/// the program, by which people look for it.
inline void name_this_thread(std::string name) noexcept {
    if (name.size() > max_thread_name) name.resize(max_thread_name);
    static_cast<void>(::pthread_setname_np(::pthread_self(), name.c_str()));
}

}  // namespace quittance
