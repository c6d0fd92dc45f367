// Google's Pub/Sub emulator as a child process.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <sys/types.h>

#include "messaging/pubsub_admin.hpp"
#include "messaging/pubsub_settings.hpp"

namespace quittance::test_support {

#ifdef __SANITIZE_THREAD__
inline constexpr bool under_thread_sanitizer = true;
#else
inline constexpr bool under_thread_sanitizer = false;
#endif

/// Why there can be no emulator here; none when there can.
[[nodiscard]] std::optional<std::string> why_no_pubsub_emulator();

/// Listens on a free port of 127.0.0.1 until destroyed. Keeps everything in memory.
class PubsubEmulator {
public:
    PubsubEmulator();
    ~PubsubEmulator();
    PubsubEmulator(const PubsubEmulator&) = delete;
    PubsubEmulator& operator=(const PubsubEmulator&) = delete;

    /// For all tests of a process that can share one, each in a project of its own.
    static PubsubEmulator& shared();

    void start();
    /// As a crash would.
    void kill();

    [[nodiscard]] std::uint16_t port() const { return port_; }
    /// A project that nobody used before.
    [[nodiscard]] messaging::PubsubSettings new_project() const;

private:
    std::uint16_t port_ = 0;
    pid_t process_ = -1;
};

/// Our topics and subscriptions, with short pauses between deliveries.
[[nodiscard]] messaging::PubsubProvisioning quick_topology(messaging::PubsubSettings settings);

/// `provision_pubsub`, for as long as it takes the emulator to answer.
void provision_patiently(const messaging::PubsubProvisioning& wanted);

}  // namespace quittance::test_support

/// Skips the test where there is no emulator; under CI=true that is a failure. Under the thread sanitizer
/// they are skipped everywhere: gRPC is not built with it, so it would report races that are none.
#define REQUIRE_PUBSUB_EMULATOR()                                                               \
    if (const auto why = quittance::test_support::why_no_pubsub_emulator()) {                   \
        if (!quittance::test_support::under_thread_sanitizer && std::getenv("CI") != nullptr && \
            std::string_view(std::getenv("CI")) == "true")                                      \
            FAIL() << *why;                                                                     \
        GTEST_SKIP() << "NOT TESTED against Pub/Sub: " << *why;                                 \
    }                                                                                           \
    static_assert(true)
