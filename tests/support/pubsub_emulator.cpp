#include "tests/support/pubsub_emulator.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contracts/events.hpp"
#include "core/error.hpp"
#include "tests/support/free_port.hpp"

namespace quittance::test_support {

namespace {

/// A Java program on a busy machine.
constexpr std::chrono::seconds start_patience{90};

std::string output_of(const char* command) {
    std::string output;
    FILE* pipe = ::popen(command, "r");
    if (pipe == nullptr) return output;
    char buffer[256];
    while (std::fgets(buffer, sizeof buffer, pipe) != nullptr)
        output += buffer;
    ::pclose(pipe);
    while (!output.empty() && output.back() == '\n')
        output.pop_back();
    return output;
}

const std::string& jar() {
    static const std::string path =
        output_of("dpkg -L google-cloud-cli-pubsub-emulator 2> /dev/null | grep '\\.jar$' | head -n 1");
    return path;
}

}  // namespace

std::optional<std::string> why_no_pubsub_emulator() {
    if (under_thread_sanitizer) return "gRPC is not built with the thread sanitizer";
    if (jar().empty()) return "the package google-cloud-cli-pubsub-emulator is not installed";
    if (output_of("command -v java").empty()) return "there is no java";
    return std::nullopt;
}

PubsubEmulator::PubsubEmulator() : port_(free_port()) {
    start();
}

PubsubEmulator::~PubsubEmulator() {
    kill();
}

PubsubEmulator& PubsubEmulator::shared() {
    static PubsubEmulator emulator;
    return emulator;
}

void PubsubEmulator::start() {
    const std::string port = "--port=" + std::to_string(port_);
    const std::string& path = jar();
    process_ = ::fork();
    if (process_ == -1) throw std::runtime_error("the emulator could not be started");
    if (process_ > 0) return;
    // It must not outlive a test that crashes.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, STDIN_FILENO);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    ::execlp("java", "java", "-Xmx512m", "-jar", path.c_str(), "--host=127.0.0.1", port.c_str(), nullptr);
    ::_exit(127);
}

void PubsubEmulator::kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

messaging::PubsubSettings PubsubEmulator::new_project() const {
    static std::atomic<int> projects = 0;
    messaging::PubsubSettings settings;
    settings.project = "test-" + std::to_string(++projects);
    settings.emulator_host = "127.0.0.1:" + std::to_string(port_);
    return settings;
}

messaging::PubsubProvisioning quick_topology(messaging::PubsubSettings settings) {
    messaging::PubsubProvisioning wanted;
    wanted.settings = std::move(settings);
    wanted.routes = {
        {std::string(contracts::payment_events_topic), std::string(contracts::payment_service_subscription)},
        {std::string(contracts::order_updates_topic), std::string(contracts::order_service_subscription)}};
    wanted.backoff_min = std::chrono::milliseconds(100);
    wanted.backoff_max = std::chrono::milliseconds(200);
    wanted.max_delivery_attempts = 5;
    return wanted;
}

void provision_patiently(const messaging::PubsubProvisioning& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + start_patience;
    for (;;) {
        try {
            std::ostringstream out;
            return messaging::provision_pubsub(wanted, out);
        } catch (const ConfigurationError&) {
            if (std::chrono::steady_clock::now() > deadline) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }
}

}  // namespace quittance::test_support
