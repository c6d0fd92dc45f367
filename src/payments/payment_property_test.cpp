// Payments against a provider where anything may happen: answers that are lost or late, somebody in between
// who answers instead, customers who confirm late, people at the provider's dashboard. Neither clock nor
// database; each run goes on until nothing is left to do.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "payments/attempts.hpp"
#include "payments/ledger.hpp"
#include "payments/payment_testing.hpp"

namespace quittance::payments {
namespace {

class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}
    bool chance(int percent) { return below(100) < percent; }
    int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
    }

private:
    std::mt19937_64 engine_;
};

/// One payment's object at the provider.
struct Intent {
    ProviderState state = ProviderState::open;
    bool capture_at_once = true;
    std::int64_t captured = 0;
    bool odd = false;  ///< Something happened to it that the provider calls impossible.
    std::map<std::string, std::int64_t> refunds;

    [[nodiscard]] std::int64_t refunded() const {
        std::int64_t sum = 0;
        for (const auto& [key, amount] : refunds)
            sum += amount;
        return sum;
    }
    [[nodiscard]] std::int64_t held() const { return captured - refunded(); }
    [[nodiscard]] bool is_alive() const {
        return held() > 0 || state == ProviderState::open || state == ProviderState::processing ||
               state == ProviderState::authorized;
    }
    void take(std::int64_t amount) {
        state = ProviderState::captured;
        captured = amount;
    }
};

GatewayResult snapshot_of(const Intent& intent) {
    GatewayResult result{
        .provider_reference = "ref", .captured_minor = intent.captured, .refunded_minor = intent.refunded()};
    switch (intent.state) {
        case ProviderState::open:
            result.outcome = GatewayOutcome::declined;
            result.failure = {"card_declined", "The card was declined."};
            break;
        case ProviderState::processing: result.outcome = GatewayOutcome::pending; break;
        case ProviderState::authorized:
        case ProviderState::captured: result.outcome = GatewayOutcome::succeeded; break;
        default: result.outcome = GatewayOutcome::canceled; break;
    }
    return result;
}

class Shop {
public:
    explicit Shop(std::uint64_t seed)
        : dice_(seed), mode_(dice_.chance(70) ? CaptureMode::automatic : CaptureMode::manual) {
        pay();
    }

    /// Plays to the end. Empty when every promise was kept.
    std::string run() {
        const int steps = 5 + dice_.below(60);
        for (int i = 0; i < steps && wrong_.empty(); ++i) {
            now_ += std::chrono::seconds(dice_.below(200));
            if (dice_.chance(2)) now_ += hours(dice_.below(30));
            step();
            look_for_two_alive();
        }
        come_to_rest();
        if (wrong_.empty()) check_the_end();
        return wrong_;
    }
    [[nodiscard]] std::size_t steps() const { return steps_; }
    [[nodiscard]] const std::vector<std::string>& story() const { return story_; }

private:
    struct Attempt {
        Payment payment;
        std::string method;
        std::vector<Refund> refunds;
    };
    struct LateCall {
        PaymentId id;
        Timestamp sent_at;
    };

    void step() {
        ++steps_;
        const int choice = dice_.below(100);
        if (choice < 50) return call_for(pick());
        if (choice < 62) return world();
        if (choice < 65) return deliver_late_charge();
        if (choice < 72) return pay();
        if (choice < 75) return void_one();
        if (choice < 80) return capture_one();
        if (choice < 86) return refund_one();
        if (choice < 88) return cancel();
        if (choice < 93) return make_due(pick());
        if (choice < 96) return old_snapshot();
    }

    // What people want.
    void pay() {
        if (canceled_ || attempts_.size() >= 4) return;
        const Attempts before = all();
        if (payer() != nullptr) return;
        if (!before.empty() && !is_over(*before.back()) &&
            before.back()->provider_state != ProviderState::open) {
            return;
        }
        const int number = static_cast<int>(attempts_.size()) + 1;
        const bool waits = must_wait(before, number);
        apply_all(close_earlier(before, number, now_));
        auto event = request(number);
        Attempt& attempt = attempts_.emplace_back();
        const PaymentId id =
            *PaymentId::parse("019ab000-0000-7000-8000-00000000010" + std::to_string(number));
        attempt.payment = begin_payment(id, event, "simulator", mode_, now_, waits);
        static constexpr std::array methods{"good", "good", "declined", "slow"};
        attempt.method = methods.at(static_cast<std::size_t>(dice_.below(methods.size())));
        say("attempt " + std::to_string(number) + " " + attempt.method + (waits ? ", waits" : ""));
        settle(id);
    }
    void cancel() {
        if (canceled_) return;
        canceled_ = true;
        say("the order is canceled");
        apply_all(release_all(
            all(), [this] { return new_refund_id(); }, now_));
    }
    void void_one() { change(pick(), request_void(pick_payment(), new_refund_id(), now_), "void"); }
    void capture_one() { change(pick(), request_capture(pick_payment(), total, now_), "capture"); }
    void refund_one() {
        const Payment* holder = holder_of_money(all(), 1);
        if (holder == nullptr || refundable_minor(*holder) == 0) return;
        apply(request_refund(*holder, refund_request(dice_.between(1, total), new_refund_id()), now_));
    }

    // What the provider, the customer, the bank and the people at the dashboard do.
    void world() {
        if (intents_.empty()) return;
        auto at = intents_.begin();
        std::advance(at, dice_.below(static_cast<int>(intents_.size())));
        Intent& intent = at->second;
        const int choice = dice_.below(100);
        if (intent.state == ProviderState::canceled && choice < 10) {
            intent.take(total);
            intent.odd = true;
        } else if (intent.state == ProviderState::open && choice < 50) {
            confirm(intent);
        } else if (intent.state == ProviderState::processing) {
            decide(intent);
        } else if (intent.state == ProviderState::authorized && choice < 50) {
            if (choice < 30) {
                intent.state = ProviderState::canceled;
            } else {
                intent.take(total);
            }
        } else if (intent.held() > 0 && choice < 30) {
            intent.refunds["dashboard-" + std::to_string(++dashboard_)] = dice_.between(1, intent.held());
        }
    }
    static void confirm(Intent& intent) {
        if (intent.capture_at_once) return intent.take(total);
        intent.state = ProviderState::authorized;
    }
    void decide(Intent& intent) {
        if (dice_.chance(60)) return confirm(intent);
        intent.state = ProviderState::open;
    }
    Intent& authorize(const Payment& payment, const std::string& method) {
        const auto [at, is_new] = intents_.try_emplace(payment.id);
        Intent& intent = at->second;
        if (!is_new) return intent;
        intent.capture_at_once = payment.capture_at_once;
        if (method == "good") confirm(intent);
        if (method == "slow") intent.state = ProviderState::processing;
        if (is_ended(payment) && wrong_.empty()) wrong_ = "an attempt is charged after its end";
        return intent;
    }
    void deliver_late_charge() {
        if (late_.empty()) return;
        const LateCall call = late_.front();
        late_.pop_front();
        const Payment& payment = find(call.id).payment;
        // Longer than this nothing is under way.
        if (now_ - call.sent_at >= not_found_is_final_after) return;
        const auto [at, is_new] = intents_.try_emplace(payment.id);
        if (!is_new) return;
        at->second.capture_at_once = payment.capture_at_once;
        if (find(call.id).method == "good") confirm(at->second);
    }

    // What is asked of it, and how that goes.
    void call_for(std::size_t index, bool quiet = false) {
        Attempt& attempt = attempts_[index];
        for (const Refund& refund : std::vector(attempt.refunds)) {
            if (refund.next_look_up_at && *refund.next_look_up_at <= now_)
                return call_refund(index, refund, quiet);
        }
        if (!attempt.payment.next_look_up_at || *attempt.payment.next_look_up_at > now_) return;
        const GatewayCall call = due_call(attempt.payment, now_);
        if (call == GatewayCall::none) {
            attempt.payment.next_look_up_at.reset();
            return;
        }
        attempt.payment.next_look_up_at = now_ + stale_after;
        const Asked asked{call, gateway_request(attempt.payment, call).idempotency_key,
                          tried_.insert(attempt.payment.id.to_string() + "authorize").second &&
                              call == GatewayCall::authorize,
                          attempt.payment.version};
        const GatewayResult answer = carry_out(attempt, call, quiet);
        apply(apply_answer(attempts_[index].payment, asked, answer, new_refund_id(), now_));
        settle(attempts_[index].payment.id);
    }
    GatewayResult carry_out(Attempt& attempt, GatewayCall call, bool quiet) {
        const Payment& payment = attempt.payment;
        const int fate = quiet ? 100 : dice_.below(100);
        const bool never_arrives = fate >= 12 && fate < 20;
        const bool somebody_else_answers = fate >= 20 && fate < 28;
        if (never_arrives || (somebody_else_answers && dice_.chance(50))) {
            if (call == GatewayCall::authorize && dice_.chance(50)) late_.push_back({payment.id, now_});
            return {};
        }
        const bool refuses =
            fate >= 28 && fate < 31 && call == GatewayCall::authorize && !intents_.contains(payment.id);
        if (refuses) return {.outcome = GatewayOutcome::refused, .failure = {"bad_method", "No."}};
        const bool is_repetition = intents_.contains(payment.id);
        if (call == GatewayCall::authorize) authorize(payment, attempt.method);
        const auto found = intents_.find(payment.id);
        if (found == intents_.end()) return {.outcome = GatewayOutcome::not_found};
        Intent& intent = found->second;
        if (call == GatewayCall::cancel &&
            (intent.state == ProviderState::open || intent.state == ProviderState::authorized)) {
            intent.state = ProviderState::canceled;
        }
        if (call == GatewayCall::capture && intent.state == ProviderState::authorized) {
            intent.take(payment.capture_requested_minor);
        }
        // A repetition under the same key is answered as the first try was.
        if (call == GatewayCall::authorize && !is_repetition)
            first_answers_[payment.id] = snapshot_of(intent);
        if (fate < 12 || somebody_else_answers) return {};
        GatewayResult answer = snapshot_of(intent);
        if (call == GatewayCall::authorize && first_answers_.contains(payment.id)) {
            answer = first_answers_[payment.id];
        }
        old_.push_back({payment.id, answer});
        return answer;
    }
    void call_refund(std::size_t index, const Refund& refund, bool quiet) {
        Attempt& attempt = attempts_[index];
        GatewayCall call = plan(refund, now_);
        if (const auto next = asked_next_.extract(refund.id)) call = next.mapped();
        for (Refund& stored : attempt.refunds) {
            if (stored.id == refund.id) stored.next_look_up_at = now_ + stale_after;
        }
        const Asked asked{call, refund.idempotency_key,
                          call == GatewayCall::refund && tried_.insert(refund.idempotency_key).second,
                          refund.look_ups};
        const GatewayResult answer = carry_out_refund(attempt.payment.id, refund, call, quiet);
        apply(apply_refund_answer(attempt.payment, refund, asked, answer, new_refund_id(), now_));
        settle(attempts_[index].payment.id);
    }
    GatewayResult carry_out_refund(const PaymentId& id, const Refund& refund, GatewayCall call, bool quiet) {
        const int fate = quiet ? 100 : dice_.below(100);
        Intent& intent = intents_.at(id);
        if (fate >= 12 && fate < 20) return {};
        const bool made = intent.refunds.contains(refund.idempotency_key);
        if (call == GatewayCall::refund && !made) {
            if (refund.amount_minor > intent.held()) {
                return fate < 12 ? GatewayResult{}
                                 : GatewayResult{.outcome = GatewayOutcome::refused,
                                                 .failure = {"charge_already_refunded", "No."}};
            }
            intent.refunds[refund.idempotency_key] = refund.amount_minor;
        }
        if (fate < 12 || (fate >= 20 && fate < 28)) return {};
        GatewayResult answer{.outcome = GatewayOutcome::not_found, .all_refunded_minor = intent.refunded()};
        if (intent.refunds.contains(refund.idempotency_key)) {
            answer.outcome = GatewayOutcome::succeeded;
            answer.refunded_minor = refund.amount_minor;
        }
        return answer;
    }
    void make_due(std::size_t index) {
        Payment& payment = attempts_[index].payment;
        if (due_call(payment, now_) == GatewayCall::none) return;
        payment.next_look_up_at = now_;
        payment.stuck_since.reset();
    }
    void old_snapshot() {
        if (old_.empty()) return;
        const auto& [id, answer] = old_[static_cast<std::size_t>(dice_.below(static_cast<int>(old_.size())))];
        apply(apply_answer(find(id).payment, {GatewayCall::look_up, "", false, 0}, answer, new_refund_id(),
                           now_));
        settle(id);
    }

    // What the writer does.
    void apply(Transition transition) {
        Attempt& attempt = find(transition.after.id);
        static_cast<void>(postings(attempt.payment, transition.after));
        if (transition.after != attempt.payment) {
            say("attempt " + std::to_string(transition.after.attempt) + " is " +
                std::string(contracts::to_string(transition.after.status)) + ", seen " +
                std::string(to_string(transition.after.provider_state)) + " " +
                std::to_string(transition.after.captured_minor) + "-" +
                std::to_string(transition.after.refunded_minor));
        }
        attempt.payment = std::move(transition.after);
        if (transition.next != GatewayCall::none && transition.next != GatewayCall::refund) {
            attempt.payment.next_look_up_at = now_;
        }
        for (Refund& refund : transition.refunds) {
            if (transition.next == GatewayCall::refund || transition.next == GatewayCall::look_up) {
                if (&refund == &transition.refunds.back()) {
                    refund.next_look_up_at = now_;
                    asked_next_[refund.id] = transition.next;
                }
            }
            say("  its refund of " + std::to_string(refund.amount_minor) + " is " +
                std::string(to_string(refund.state)) + (refund.failure ? " " + refund.failure->code : "") +
                (refund.next_look_up_at ? ", due" : "") + (refund.stuck_since ? ", stuck" : ""));
            const auto known = std::ranges::find(attempt.refunds, refund.id, &Refund::id);
            if (known == attempt.refunds.end()) {
                attempt.refunds.push_back(std::move(refund));
            } else {
                *known = std::move(refund);
            }
        }
    }
    void apply_all(std::vector<Transition> transitions) {
        for (Transition& transition : transitions)
            apply(std::move(transition));
    }
    void settle(const PaymentId& changed) {
        apply_all(settle_attempts(
            all(), changed, [this] { return new_refund_id(); }, now_));
    }
    void change(std::size_t index, Result<Transition> transition, const std::string& what) {
        if (!transition || transition->after.id != attempts_[index].payment.id) return;
        say(what);
        const PaymentId id = transition->after.id;
        apply(*std::move(transition));
        settle(id);
    }

    void look_for_two_alive() {
        const auto alive = std::ranges::count_if(
            intents_, [](const auto& entry) { return entry.second.is_alive() && !entry.second.odd; });
        if (alive > 1 && wrong_.empty()) wrong_ = "two attempts are alive at once";
    }

    /// Nobody acts any more, calls get through, and everything is looked at once more.
    void come_to_rest() {
        for (auto& [id, intent] : intents_) {
            if (intent.state == ProviderState::processing) decide(intent);
        }
        for (std::size_t i = 0; i < attempts_.size(); ++i)
            make_due(i);
        for (int round = 0; round < 400; ++round) {
            while (!late_.empty())
                deliver_late_charge();
            bool waits = false;
            for (std::size_t i = 0; i < attempts_.size(); ++i) {
                call_for(i, true);
                waits = waits || is_waiting(attempts_[i]);
            }
            if (!waits) return;
            for (auto& [id, intent] : intents_) {
                if (intent.state == ProviderState::processing && round % 7 == 0) decide(intent);
            }
            now_ += std::chrono::minutes(20);
        }
        wrong_ = "it never comes to rest";
    }
    [[nodiscard]] bool is_waiting(const Attempt& attempt) const {
        const bool watched = attempt.payment.provider_state == ProviderState::authorized &&
                             plan(attempt.payment, now_) == GatewayCall::look_up &&
                             attempt.payment.next_look_up_at > now_ + hours(1);
        if (attempt.payment.next_look_up_at && !watched) return true;
        return std::ranges::any_of(attempt.refunds,
                                   [](const Refund& refund) { return refund.next_look_up_at.has_value(); });
    }

    void check_the_end() {
        std::int64_t held = 0;
        int holders = 0;
        for (const auto& [id, intent] : intents_) {
            held += intent.held();
            if (intent.held() > 0) ++holders;
            if (canceled_ && intent.is_alive()) wrong_ = "canceled, and the provider holds something";
            if (intent.state == ProviderState::open) wrong_ = "what was declined can still be confirmed";
        }
        if (holders > 1) wrong_ = "two attempts hold money";
        if (held > total) wrong_ = "more is held than the order costs";
        if (held > 0 && !canceled_ && payer() == nullptr) wrong_ = "money without a payment that pays";
        for (const Attempt& attempt : attempts_)
            check(attempt);
    }
    void check(const Attempt& attempt) {
        const Payment& payment = attempt.payment;
        const auto found = intents_.find(payment.id);
        const Intent intent = found == intents_.end() ? Intent{.state = ProviderState::none} : found->second;
        if (payment.captured_minor != intent.captured || payment.refunded_minor != intent.refunded()) {
            wrong_ = "the amounts are not the provider's";
        }
        if (found != intents_.end() && payment.provider_state != intent.state) {
            wrong_ = "the state is not the provider's";
        }
        if (found != intents_.end() && !payment.charge_sent) wrong_ = "made without being sent";
        if (payment.refund_reserved_minor != 0) wrong_ = "an amount is still reserved";
        if (payment.stuck_since) wrong_ = "it waits for manual review";
        for (const Refund& refund : attempt.refunds) {
            if (refund.state == RefundState::requested) wrong_ = "a refund has no end";
            const bool there = intent.refunds.contains(refund.idempotency_key);
            if (there != (refund.state == RefundState::succeeded)) wrong_ = "a refund's state is not true";
        }
        if (payment.status == PaymentStatus::pending || payment.status == PaymentStatus::unknown) {
            wrong_ = "a payment is still undecided";
        }
    }

    [[nodiscard]] const Payment* payer() const {
        for (const Attempt& attempt : attempts_) {
            if (pays(attempt.payment)) return &attempt.payment;
        }
        return nullptr;
    }
    [[nodiscard]] Attempts all() const {
        Attempts found;
        for (const Attempt& attempt : attempts_)
            found.push_back(&attempt.payment);
        return found;
    }
    Attempt& find(const PaymentId& id) {
        return *std::ranges::find_if(attempts_, [&](const Attempt& one) { return one.payment.id == id; });
    }
    std::size_t pick() { return static_cast<std::size_t>(dice_.below(static_cast<int>(attempts_.size()))); }
    const Payment& pick_payment() { return attempts_[pick()].payment; }
    RefundId new_refund_id() {
        const std::string digits = std::to_string(100'000'000'000 + ++refunds_);
        return *RefundId::parse("019ab000-0000-7000-8000-" + digits);
    }
    void say(std::string what) { story_.push_back(std::move(what)); }

    Dice dice_;
    CaptureMode mode_;
    Timestamp now_ = start;
    std::deque<Attempt> attempts_;
    std::map<PaymentId, Intent> intents_;
    std::map<PaymentId, GatewayResult> first_answers_;
    std::deque<LateCall> late_;
    std::vector<std::pair<PaymentId, GatewayResult>> old_;
    std::set<std::string> tried_;
    std::map<RefundId, GatewayCall> asked_next_;  ///< What a transition asks for at once.
    bool canceled_ = false;
    std::int64_t refunds_ = 0;
    int dashboard_ = 0;
    std::size_t steps_ = 0;
    std::string wrong_;
    std::vector<std::string> story_;
};

/// How many seeds are played: all of 10 million steps take about a minute.
std::uint64_t seeds() {
    const char* wanted = std::getenv("QUITTANCE_PROPERTY_SEEDS");
    return wanted == nullptr ? 20'000 : std::strtoull(wanted, nullptr, 10);
}

TEST(PaymentProperty, whatever_happens_the_books_agree_and_one_attempt_pays) {
    std::size_t steps = 0;
    for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
        Shop shop(seed);
        const std::string wrong = shop.run();
        steps += shop.steps();
        if (!wrong.empty()) {
            std::string story;
            for (const std::string& line : shop.story())
                story += "  " + line + "\n";
            FAIL() << "seed " << seed << ": " << wrong << "\n" << story;
        }
    }
    std::cout << "measured: " << seeds() << " seeds, " << steps << " steps\n";
}

}  // namespace
}  // namespace quittance::payments
