#include "tests/support/stripe_server.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/client.hpp"

namespace quittance::test_support {

namespace {

constexpr const char* api_key = "sk_test_of_the_tests";
constexpr const char* webhook_secret = "whsec_of_the_tests";

/// Both ends are closed in programs that are started meanwhile.
std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe can be made");
    return ends;
}

}  // namespace

StripeServer::StripeServer() {
    const std::string script =
        (std::filesystem::path(QUITTANCE_SOURCE_DIR) / "tests/stripe_server/main.js").string();
    const auto to_child = make_pipe();
    const auto from_child = make_pipe();
    process_ = ::fork();
    if (process_ == -1) throw std::runtime_error("the server cannot be started");
    if (process_ == 0) {
        // It must not outlive a test that crashes.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(to_child[0], STDIN_FILENO);
        ::dup2(from_child[1], STDOUT_FILENO);
        ::execlp("node", "node", script.c_str(), "--key", api_key, "--webhook-secret", webhook_secret,
                 nullptr);
        ::_exit(127);
    }
    ::close(to_child[0]);
    ::close(from_child[1]);
    input_ = to_child[1];
    FILE* output = ::fdopen(from_child[0], "r");
    int port = 0;
    const bool started = std::fscanf(output, "%d", &port) == 1;
    std::fclose(output);
    if (!started) throw std::runtime_error("the server that stands in for Stripe did not start: " + script);
    port_ = static_cast<std::uint16_t>(port);
}

StripeServer::~StripeServer() {
    ::close(input_);
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
}

StripeServer& StripeServer::shared() {
    static StripeServer server;
    return server;
}

payments::StripeClientOptions StripeServer::client_options() const {
    payments::StripeClientOptions options;
    options.base_url = "http://127.0.0.1:" + std::to_string(port_);
    options.api_key = Secret(api_key);
    options.requests_per_second = 1000;
    options.first_pause = std::chrono::milliseconds(5);
    options.longest_pause = std::chrono::milliseconds(20);
    return options;
}

std::string StripeServer::control(const std::string& name, const std::string& body) const {
    http::Client client;
    std::promise<http::ClientOutcome> promise;
    auto future = promise.get_future();
    client.send({.method = body.empty() ? http::Method::get : http::Method::post,
                 .url = client_options().base_url + "/_control/" + name,
                 .headers = {{"Content-Type", "application/json"}},
                 .body = body},
                [&](http::ClientOutcome outcome) { promise.set_value(std::move(outcome)); });
    auto outcome = future.get();
    if (!outcome.response || outcome.response->status != 200) {
        throw std::runtime_error("the server did not take " + name + " " + body + ": " + outcome.failure);
    }
    return std::move(outcome.response->body);
}

}  // namespace quittance::test_support
