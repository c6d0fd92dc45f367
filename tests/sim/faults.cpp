#include "tests/sim/faults.hpp"

#include <stdexcept>

namespace quittance::sim {

namespace {

struct Words {
    FaultKind kind;
    Border border;
    std::string_view words;
};

constexpr std::array<Words, fault_kinds> all_words{{
    {FaultKind::crash_at_statement, Border::statement, "crash at a statement"},
    {FaultKind::disconnect, Border::statement, "connection to the database breaks at a statement"},
    {FaultKind::conflict, Border::statement, "database conflict"},
    {FaultKind::rejection, Border::statement, "statement rejected"},
    {FaultKind::database_outage, Border::statement, "database away, read-only or slow for a while"},
    {FaultKind::crash_before_commit, Border::commit, "crash before a commit"},
    {FaultKind::crash_after_commit, Border::commit, "crash after a commit"},
    {FaultKind::failed_commit, Border::commit, "commit fails"},
    {FaultKind::unknown_commit, Border::commit, "commit succeeds and seems to fail"},
    {FaultKind::crash_before_publish, Border::publish, "crash before publishing"},
    {FaultKind::crash_after_publish, Border::publish, "crash after publishing"},
    {FaultKind::failed_publish, Border::broker, "message not published"},
    {FaultKind::unknown_publish, Border::broker, "message published and seemingly not"},
    {FaultKind::repeated_message, Border::broker, "message stored twice"},
    {FaultKind::late_message, Border::broker, "message delayed"},
    {FaultKind::lost_delivery, Border::delivery, "delivery lost and repeated later"},
    {FaultKind::repeated_delivery, Border::delivery, "message delivered again, long after"},
    {FaultKind::overtaking_delivery, Border::delivery, "message overtaken by the next of its order"},
    {FaultKind::lost_ack, Border::delivery, "acknowledgement lost"},
    {FaultKind::crash_before_ack, Border::ack, "crash before acknowledging"},
    {FaultKind::crash_after_ack, Border::ack, "crash after acknowledging"},
    {FaultKind::crash_before_call, Border::call, "crash before calling the provider"},
    {FaultKind::crash_after_call, Border::call, "crash after calling the provider"},
    {FaultKind::lost_call, Border::call, "call never reaches the provider"},
    {FaultKind::timed_out_call, Border::call, "call succeeds and seems to time out"},
    {FaultKind::slow_call, Border::call, "call is long under way"},
    {FaultKind::late_call, Border::call, "call arrives long after its caller gave it up"},
    {FaultKind::slow_answer, Border::call, "provider answers late"},
    {FaultKind::refused_call, Border::call, "provider refuses"},
    {FaultKind::refused_repetition, Border::call, "provider refuses a repetition and forgets it"},
    {FaultKind::provider_outage, Border::call, "provider away for a while"},
    {FaultKind::day_long_provider_outage, Border::call, "provider away for more than a day"},
    {FaultKind::lost_notice, Border::notice, "webhook lost and repeated later"},
    {FaultKind::repeated_notice, Border::notice, "webhook sent twice"},
    {FaultKind::late_notice, Border::notice, "webhook late"},
    {FaultKind::lost_reply, Border::reply, "answer to the client lost"},
}};

constexpr std::array<std::string_view, 9> border_words{
    "statement",       "commit", "publication", "message for the broker", "delivery",
    "acknowledgement", "call",   "webhook",     "answer to a client"};

constexpr bool in_order() {
    for (std::size_t i = 0; i < fault_kinds; ++i) {
        if (static_cast<std::size_t>(all_words[i].kind) != i) return false;
    }
    return true;
}
static_assert(in_order());

const Words& words_of(FaultKind kind) {
    return all_words.at(static_cast<std::size_t>(kind));
}

}  // namespace

Border border_of(FaultKind kind) {
    return words_of(kind).border;
}

std::string_view to_string(FaultKind kind) {
    return words_of(kind).words;
}

std::string describe(const Fault& fault) {
    return std::string(to_string(fault.kind)) + " (process " + std::to_string(fault.process) + ", " +
           std::string(border_words.at(static_cast<std::size_t>(border_of(fault.kind)))) + " number " +
           std::to_string(fault.passage + 1) + ")";
}

Faults::Faults(const std::vector<Fault>& planned) {
    for (const Fault& fault : planned)
        planned_.try_emplace({{border_of(fault.kind), fault.process}, fault.passage}, fault.kind);
}

std::optional<FaultKind> Faults::pass(Border border, int process) {
    if (stopped_) return std::nullopt;
    const Place place{border, process};
    const auto found = planned_.find({place, passages_[place]++});
    if (found == planned_.end()) return std::nullopt;
    ++injected_[static_cast<std::size_t>(found->second)];
    return found->second;
}

}  // namespace quittance::sim
