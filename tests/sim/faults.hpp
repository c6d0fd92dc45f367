// What can go wrong, where, and how often it did.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quittance::sim {

/// Where a service touches the world outside of its memory. Each passage is counted.
enum class Border { statement, commit, publish, broker, delivery, ack, call, notice, reply };

enum class FaultKind {
    // A statement that is not a commit.
    crash_at_statement,
    disconnect,
    conflict,
    rejection,
    database_outage,
    // A commit.
    crash_before_commit,
    crash_after_commit,
    failed_commit,
    unknown_commit,
    // Giving messages to the bus.
    crash_before_publish,
    crash_after_publish,
    // What the broker does with a message that it was given.
    failed_publish,
    unknown_publish,
    repeated_message,
    late_message,
    // What the broker does with a message that it hands out.
    lost_delivery,
    repeated_delivery,
    overtaking_delivery,
    lost_ack,
    // Acknowledging.
    crash_before_ack,
    crash_after_ack,
    // Calling the payment provider.
    crash_before_call,
    crash_after_call,
    lost_call,
    timed_out_call,
    slow_call,
    late_call,
    slow_answer,
    refused_call,
    refused_repetition,
    provider_outage,
    day_long_provider_outage,
    // The provider's webhooks.
    lost_notice,
    repeated_notice,
    late_notice,
    // Answering a client.
    lost_reply,
};
inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(FaultKind::lost_reply) + 1;

[[nodiscard]] Border border_of(FaultKind kind);
/// In words, for the story and for the count.
[[nodiscard]] std::string_view to_string(FaultKind kind);

/// What goes wrong at which passage of its border.
struct Fault {
    FaultKind kind = FaultKind::lost_reply;
    int process = 0;
    int passage = 0;
};

[[nodiscard]] std::string describe(const Fault& fault);

/// Thrown to take a process down wherever it is. No std::exception, so that nothing in the services holds it
/// up on its way out: they lose their memory, and nothing else.
struct Crash {
    int process;
};

using FaultCounts = std::array<std::uint64_t, fault_kinds>;

/// Tells of each passage what goes wrong at it.
class Faults {
public:
    explicit Faults(const std::vector<Fault>& planned);

    [[nodiscard]] std::optional<FaultKind> pass(Border border, int process);
    /// From now on all is well.
    void stop() { stopped_ = true; }

    [[nodiscard]] const FaultCounts& injected() const { return injected_; }

private:
    using Place = std::pair<Border, int>;

    std::map<std::pair<Place, int>, FaultKind> planned_;
    std::map<Place, int> passages_;
    FaultCounts injected_{};
    bool stopped_ = false;
};

}  // namespace quittance::sim
