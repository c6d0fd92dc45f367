// The server that stands in for Stripe (tests/stripe_server), as a child process.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

#include "payments/stripe_client.hpp"

namespace quittance::test_support {

/// Listens on a free port of 127.0.0.1 until destroyed. Keeps everything in memory.
class StripeServer {
public:
    StripeServer();
    ~StripeServer();
    StripeServer(const StripeServer&) = delete;
    StripeServer& operator=(const StripeServer&) = delete;

    /// For all tests of a process that can share one.
    static StripeServer& shared();

    /// For a client of this server, with short pauses.
    [[nodiscard]] payments::StripeClientOptions client_options() const;

    /// Sends JSON to one of the server's controls, such as "plan", or reads one with an empty body. Returns
    /// what it answers.
    std::string control(const std::string& name, const std::string& body = {}) const;

private:
    std::uint16_t port_ = 0;
    pid_t process_ = -1;
    int input_ = -1;
};

}  // namespace quittance::test_support
