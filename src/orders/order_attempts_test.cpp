// An order and its attempts to be paid: news of one attempt is not news of another.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orders/order.hpp"

namespace quittance::orders {
namespace {

using contracts::PaymentStatus;
using testing::ElementsAre;
using testing::HasSubstr;

const Timestamp noon = timestamp_from_ms(1'700'000'000'000);
const Currency eur = *Currency::parse("EUR");
const OrderId order_id = *OrderId::parse("01890000-0000-7000-8000-000000000001");
const UserId user_id = *UserId::parse("01890000-0000-7000-8000-000000000002");
const RefundId refund_id = *RefundId::parse("01890000-0000-7000-8000-000000000003");
const RefundId other_refund = *RefundId::parse("01890000-0000-7000-8000-000000000004");
constexpr std::int64_t total = 1890;
constexpr std::array all_order_statuses{
    OrderStatus::pending,  OrderStatus::processing, OrderStatus::paid,      OrderStatus::payment_failed,
    OrderStatus::canceled, OrderStatus::shipped,    OrderStatus::delivered, OrderStatus::refunded};
constexpr std::array all_payment_statuses{
    PaymentStatus::pending,  PaymentStatus::authorized,         PaymentStatus::captured,
    PaymentStatus::failed,   PaymentStatus::requires_action,    PaymentStatus::unknown,
    PaymentStatus::canceled, PaymentStatus::partially_refunded, PaymentStatus::refunded};

Order placed() {
    const Products products{{"beans", {"beans", "Coffee beans", {total, eur}, true}}};
    const OrderRequest request{user_id, Actor::customer, {{"beans", 1, {}}}, "pm_card_visa"};
    return place_order(request, products, order_id, noon)->after;
}

contracts::PaymentUpdated update(int attempt, std::int64_t version, PaymentStatus status,
                                 std::int64_t captured = 0, std::int64_t refunded = 0) {
    contracts::PaymentUpdated news;
    news.order_id = order_id;
    news.status = status;
    news.captured_minor = captured;
    news.refunded_minor = refunded;
    news.currency = eur;
    news.sequence = attempt * contracts::sequences_per_attempt + version;
    if (status == PaymentStatus::failed) news.failure = contracts::Failure{"card_declined", "No."};
    return news;
}

/// With amounts that fit the status.
contracts::PaymentUpdated plausible(int attempt, std::int64_t version, PaymentStatus status) {
    const bool has_money = status == PaymentStatus::captured || status == PaymentStatus::partially_refunded ||
                           status == PaymentStatus::refunded;
    const std::int64_t back =
        status == PaymentStatus::refunded ? total : (status == PaymentStatus::partially_refunded ? 100 : 0);
    return update(attempt, version, status, has_money ? total : 0, back);
}

/// Applies the update and checks what holds of every transition.
Transition heard(const Order& order, const contracts::PaymentUpdated& news) {
    auto applied = apply_payment_update(order, news, noon);
    EXPECT_TRUE(applied) << applied.error().detail;
    const Order& after = applied->after;
    OrderStatus status = order.status;
    int version = order.version;
    for (const HistoryEntry& entry : applied->history) {
        EXPECT_TRUE(entry.status == status || is_legal(status, entry.status))
            << to_string(status) << " to " << to_string(entry.status);
        EXPECT_EQ(entry.version, ++version);
        status = entry.status;
    }
    EXPECT_EQ(after.status, status);
    EXPECT_EQ(after.version, version);
    EXPECT_LE(after.captured_minor, after.total.minor);
    EXPECT_LE(after.refunded_minor, after.captured_minor);
    EXPECT_LE(after.refund_reserved_minor, after.captured_minor);
    EXPECT_GE(after.payment_sequence, order.payment_sequence);
    EXPECT_EQ(after.attempts.empty(), after.payment_attempt == 1);
    return *std::move(applied);
}

Order hear(const Order& order, const contracts::PaymentUpdated& news) {
    return heard(order, news).after;
}

Order pay_again(const Order& order) {
    auto again = orders::pay_again(order, "pm_card_mastercard", Actor::customer, noon);
    EXPECT_TRUE(again) << again.error().detail;
    return again->after;
}

/// The first attempt waits for the customer, a second one is under way.
Order paid_again() {
    return pay_again(hear(placed(), update(1, 2, PaymentStatus::requires_action)));
}

std::vector<std::string> statuses(const Transition& transition) {
    std::vector<std::string> names;
    for (const HistoryEntry& entry : transition.history)
        names.emplace_back(to_string(entry.status));
    return names;
}

TEST(OrderAttempts, news_of_an_older_attempt_does_not_fail_the_newest) {
    Order order = paid_again();
    // An administrator voids the first attempt while the second is being charged.
    const Transition voided = heard(order, update(1, 4, PaymentStatus::canceled));
    order = voided.after;
    EXPECT_EQ(order.status, OrderStatus::processing);
    EXPECT_EQ(order.payment_status, PaymentStatus::pending);
    EXPECT_EQ(voided.history.back().reason, "payment CANCELED (attempt 1)");
    EXPECT_EQ(orders::pay_again(order, "pm", Actor::customer, noon).error().code, ErrorCode::conflict)
        << "no third attempt beside the second";
    order = hear(order, update(2, 2, PaymentStatus::captured, total));
    EXPECT_EQ(order.status, OrderStatus::paid);
    EXPECT_EQ(order.captured_minor, total);
    const auto canceled = set_status(order, OrderStatus::canceled, Actor::customer, noon);
    ASSERT_TRUE(canceled);
    EXPECT_EQ(std::get<contracts::OrderCanceled>(canceled->events.at(0)).attempt, 2);
    EXPECT_EQ(canceled->after.captured_minor, total) << "until it has gone back";
}

TEST(OrderAttempts, late_money_of_an_older_attempt_pays_an_order_that_waits) {
    const auto late = update(1, 5, PaymentStatus::captured, total);
    EXPECT_THAT(statuses(heard(paid_again(), late)), ElementsAre("PAID"));

    const Order failed = hear(paid_again(), update(2, 2, PaymentStatus::failed));
    const Transition paid = heard(failed, late);
    EXPECT_THAT(statuses(paid), ElementsAre("PROCESSING", "PAID"));
    EXPECT_EQ(paid.after.payment_status, PaymentStatus::captured);
    EXPECT_EQ(paid.after.captured_minor, total);
    EXPECT_EQ(paid.after.shown_attempt, 1);
    EXPECT_FALSE(paid.after.failure) << "the failure was the second attempt's";
    EXPECT_EQ(paid.after.payment_sequence, 2'000'002) << "the greatest that was heard";

    Order pending = paid_again();
    pending.status = OrderStatus::pending;
    EXPECT_THAT(statuses(heard(pending, late)), ElementsAre("PROCESSING", "PAID"));
}

TEST(OrderAttempts, the_newest_attempt_ends_without_a_trace_when_an_older_one_has_paid) {
    const Order paid = hear(paid_again(), update(1, 5, PaymentStatus::captured, total));
    const Order after = hear(paid, update(2, 2, PaymentStatus::failed));
    EXPECT_EQ(after.status, OrderStatus::paid);
    EXPECT_EQ(after.payment_status, PaymentStatus::captured);
    EXPECT_FALSE(after.failure);
}

TEST(OrderAttempts, of_two_attempts_that_hold_money_the_one_shown_stays_until_its_money_is_back) {
    Order order = hear(paid_again(), update(2, 2, PaymentStatus::captured, total));
    order = hear(order, update(1, 5, PaymentStatus::captured, total));
    EXPECT_EQ(order.shown_attempt, 2);
    const Order first_back = hear(order, update(1, 6, PaymentStatus::refunded, total, total));
    EXPECT_EQ(first_back.shown_attempt, 2);
    EXPECT_EQ(first_back.refunded_minor, 0);
    EXPECT_EQ(first_back.status, OrderStatus::paid);
    const Order second_back = hear(order, update(2, 3, PaymentStatus::refunded, total, total));
    EXPECT_EQ(second_back.shown_attempt, 1);
    EXPECT_EQ(second_back.refunded_minor, 0);
    EXPECT_EQ(second_back.status, OrderStatus::paid) << "the first attempt pays it";
}

/// Where an update takes an order of which nothing is captured and the second attempt is PENDING.
OrderStatus expected_after(OrderStatus from, PaymentStatus news, bool is_of_newest) {
    using enum OrderStatus;
    const bool waits = from == pending || from == processing || from == payment_failed;
    const bool pays = news == PaymentStatus::captured || news == PaymentStatus::partially_refunded;
    if (waits && pays) return paid;
    const bool fails = news == PaymentStatus::failed || news == PaymentStatus::requires_action ||
                       news == PaymentStatus::canceled;
    if (is_of_newest && news == PaymentStatus::refunded && from != canceled) return refunded;
    if (is_of_newest && fails && waits) return payment_failed;
    return from == pending ? processing : from;
}

TEST(OrderAttempts, each_update_of_each_attempt_takes_each_order_where_it_belongs) {
    for (const OrderStatus from : all_order_statuses) {
        for (const PaymentStatus news : all_payment_statuses) {
            for (const int attempt : {1, 2}) {
                SCOPED_TRACE(std::string(to_string(from)) + ", attempt " + std::to_string(attempt) + " " +
                             std::string(contracts::to_string(news)));
                Order order = paid_again();
                order.status = from;
                const Order after = hear(order, plausible(attempt, 9, news));
                EXPECT_EQ(to_string(after.status), to_string(expected_after(from, news, attempt == 2)));
                EXPECT_EQ(find_attempt(after.attempts, attempt)->status, news);
                const bool has_money = after.captured_minor > 0;
                EXPECT_EQ(after.shown_attempt, has_money ? attempt : 2);
                if (attempt == 1 && !has_money) {
                    EXPECT_EQ(after.payment_status, PaymentStatus::pending);
                }
                EXPECT_EQ(hear(after, plausible(attempt, 9, PaymentStatus::unknown)), after) << "repeated";
                EXPECT_EQ(hear(after, plausible(attempt, 8, PaymentStatus::captured)), after) << "overtaken";
            }
        }
    }
}

TEST(OrderAttempts, a_canceled_order_shows_the_attempt_that_holds_money_until_it_has_gone_back) {
    Order order = set_status(paid_again(), OrderStatus::canceled, Actor::customer, noon)->after;
    order = hear(order, update(2, 2, PaymentStatus::canceled));
    EXPECT_EQ(order.payment_status, PaymentStatus::canceled);
    order = hear(order, update(1, 5, PaymentStatus::captured, total));
    EXPECT_EQ(order.status, OrderStatus::canceled);
    EXPECT_EQ(order.captured_minor, total);
    EXPECT_EQ(order.payment_status, PaymentStatus::captured);
    order = hear(order, update(1, 6, PaymentStatus::refunded, total, total));
    EXPECT_EQ(order.status, OrderStatus::canceled);
    EXPECT_EQ(order.payment_status, PaymentStatus::refunded);
    EXPECT_EQ(order.refunded_minor, total);
}

TEST(OrderAttempts, an_order_that_waits_shows_the_attempt_that_it_waits_for) {
    // All that is heard of the first attempt is that its money came and went.
    const Order order = hear(paid_again(), update(1, 6, PaymentStatus::refunded, total, total));
    EXPECT_EQ(order.status, OrderStatus::processing);
    EXPECT_EQ(order.payment_status, PaymentStatus::pending);
    EXPECT_EQ(order.captured_minor, 0);
    const Order ended = hear(order, update(2, 2, PaymentStatus::failed));
    EXPECT_EQ(ended.status, OrderStatus::refunded);
    EXPECT_EQ(ended.refunded_minor, total);
}

TEST(OrderAttempts, an_order_is_refunded_when_no_other_attempt_may_still_bring_money) {
    Order order = hear(paid_again(), update(1, 5, PaymentStatus::captured, total));
    order = hear(order, update(1, 6, PaymentStatus::refunded, total, total));
    EXPECT_EQ(order.status, OrderStatus::paid);
    EXPECT_EQ(order.payment_status, PaymentStatus::refunded);
    EXPECT_EQ(set_status(order, OrderStatus::shipped, Actor::admin, noon).error().code, ErrorCode::conflict);
    const Order unpaid = hear(order, update(2, 2, PaymentStatus::canceled));
    EXPECT_EQ(unpaid.status, OrderStatus::refunded);
    EXPECT_EQ(unpaid.payment_status, PaymentStatus::refunded);
    const Order paid = hear(order, update(2, 2, PaymentStatus::captured, total));
    EXPECT_EQ(paid.status, OrderStatus::paid);
    EXPECT_EQ(paid.refunded_minor, 0);
    EXPECT_EQ(paid.shown_attempt, 2);
}

TEST(OrderAttempts, money_that_comes_to_a_refunded_order_is_asked_to_go_back) {
    Order order = hear(paid_again(), update(1, 3, PaymentStatus::failed));
    order = hear(order, update(2, 2, PaymentStatus::captured, total));
    const Transition refunded = heard(order, update(2, 3, PaymentStatus::refunded, total, total));
    ASSERT_EQ(refunded.after.status, OrderStatus::refunded);
    EXPECT_TRUE(refunded.events.empty());
    const Transition late = heard(refunded.after, update(1, 4, PaymentStatus::captured, total));
    EXPECT_EQ(late.after.status, OrderStatus::refunded);
    EXPECT_EQ(
        late.events,
        (std::vector<contracts::PaymentEvent>{contracts::OrderCanceled{order_id, user_id, order.total, 2}}));
    const Transition gone = heard(late.after, update(1, 5, PaymentStatus::refunded, total, total));
    EXPECT_TRUE(gone.events.empty());
}

TEST(OrderAttempts, what_was_captured_or_refunded_never_becomes_less) {
    const Order paid = hear(placed(), update(1, 2, PaymentStatus::captured, total));
    const auto refused = apply_payment_update(paid, update(1, 3, PaymentStatus::pending), noon);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid);
    EXPECT_THAT(refused.error().detail, HasSubstr("captured 0 and refunded 0 of attempt 1"));
    EXPECT_THAT(refused.error().detail, HasSubstr("captured 1890 and refunded 0 are known"));
    EXPECT_EQ(hear(paid, update(1, 1, PaymentStatus::pending)), paid) << "older news is old, not wrong";

    const Order part_back = hear(paid, update(1, 4, PaymentStatus::partially_refunded, total, 500));
    EXPECT_FALSE(apply_payment_update(part_back, update(1, 5, PaymentStatus::captured, total, 400), noon));
    // Of another attempt there is less, and nothing wrong with that.
    EXPECT_EQ(hear(part_back, update(2, 1, PaymentStatus::failed)).captured_minor, total);

    const Order two = hear(paid_again(), update(1, 5, PaymentStatus::captured, total));
    EXPECT_FALSE(apply_payment_update(two, update(1, 6, PaymentStatus::canceled), noon))
        << "nor of an older attempt";
}

TEST(OrderAttempts, an_attempt_that_is_not_known_here_raises_the_orders_count) {
    const Order order = hear(placed(), update(3, 2, PaymentStatus::failed));
    EXPECT_EQ(order.payment_attempt, 3);
    EXPECT_EQ(order.status, OrderStatus::payment_failed);
    EXPECT_EQ(pay_again(order).payment_attempt, 4);
    EXPECT_EQ(hear(order, update(2, 7, PaymentStatus::canceled)), order)
        << "without money there is nothing to note of what lies between";
    EXPECT_EQ(hear(order, update(2, 7, PaymentStatus::captured, total)).status, OrderStatus::paid);
    const Order last = hear(order, update(contracts::max_attempt, 2, PaymentStatus::failed));
    EXPECT_FALSE(orders::pay_again(last, "pm", Actor::customer, noon)) << "there is no number left";
}

TEST(OrderAttempts, a_refund_goes_to_the_attempt_that_holds_the_money) {
    const Order paid = hear(paid_again(), update(1, 5, PaymentStatus::captured, total));
    const auto requested = request_refund(paid, refund_id, 500, "", Actor::admin, noon);
    ASSERT_TRUE(requested);
    EXPECT_EQ(std::get<contracts::RefundRequested>(requested->events.at(0)).attempt, 1);
    EXPECT_THAT(requested->after.open_refunds, ElementsAre(OpenRefund{refund_id, 500, 1}));
    auto made = update(1, 6, PaymentStatus::partially_refunded, total, 500);
    made.refund = contracts::RefundOutcome{refund_id, 500, std::nullopt};
    const Order refunded = hear(requested->after, made);
    EXPECT_TRUE(refunded.open_refunds.empty());
    EXPECT_EQ(refundable_minor(refunded), total - 500);
}

TEST(OrderAttempts, what_is_reserved_of_one_attempt_is_not_missing_in_another) {
    Order order = hear(paid_again(), update(2, 2, PaymentStatus::captured, total));
    order = request_refund(order, refund_id, std::nullopt, "", Actor::admin, noon)->after;
    order = hear(order, update(1, 5, PaymentStatus::captured, 700));
    EXPECT_EQ(refundable_minor(order), 0);
    // The whole second attempt goes back in another way, and the first, which holds less, is shown.
    order = hear(order, update(2, 3, PaymentStatus::refunded, total, total));
    EXPECT_EQ(order.refund_reserved_minor, 0);
    EXPECT_EQ(refundable_minor(order), 700);
    order = request_refund(order, other_refund, 300, "", Actor::admin, noon)->after;
    EXPECT_EQ(order.refund_reserved_minor, 300);
    // The outcome of the first refund settles that one only.
    auto failed = update(2, 4, PaymentStatus::refunded, total, total);
    failed.refund = contracts::RefundOutcome{refund_id, total, contracts::Failure{"already_given_back", ""}};
    order = hear(order, failed);
    EXPECT_THAT(order.open_refunds, ElementsAre(OpenRefund{other_refund, 300, 1}));
    EXPECT_EQ(order.refund_reserved_minor, 300);
}

TEST(OrderAttempts, paying_again_waits_for_every_attempt_that_may_still_bring_money) {
    Order order = hear(paid_again(), update(2, 2, PaymentStatus::failed));
    EXPECT_TRUE(orders::pay_again(order, "pm", Actor::customer, noon));
    order = hear(order, update(1, 5, PaymentStatus::authorized));
    EXPECT_EQ(order.status, OrderStatus::payment_failed) << "the newest attempt did fail";
    const auto refused = orders::pay_again(order, "pm", Actor::customer, noon);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("AUTHORIZED"));
    order = hear(order, update(1, 6, PaymentStatus::canceled));
    EXPECT_TRUE(orders::pay_again(order, "pm", Actor::customer, noon));
}

TEST(OrderAttempts, many_attempts_are_forgotten_but_for_their_money) {
    Order order = placed();
    for (int attempt = 1; attempt <= 100; ++attempt) {
        auto failed = update(attempt, 2, PaymentStatus::failed);
        failed.failure->detail = std::string(1000, 'x');
        order = hear(order, failed);
        EXPECT_LE(order.attempts.size(), max_known_attempts);
        if (attempt == 3) order.attempts.at(0).captured_minor = order.attempts.at(0).refunded_minor = 1;
        if (attempt < 100) order = pay_again(order);
    }
    EXPECT_NE(find_attempt(order.attempts, 1), nullptr) << "it captured money once";
    EXPECT_EQ(find_attempt(order.attempts, 2), nullptr);
    EXPECT_EQ(hear(order, update(2, 3, PaymentStatus::canceled)), order);
    const Order paid = hear(order, update(2, 4, PaymentStatus::captured, total));
    EXPECT_EQ(paid.status, OrderStatus::paid);
    EXPECT_EQ(paid.shown_attempt, 2);
    std::size_t texts = 0;
    for (const PaymentAttempt& attempt : paid.attempts)
        texts += attempt.failure ? 1 : 0;
    EXPECT_EQ(texts, 1U) << "of the newest only";
}

TEST(CompleteAttempts, leaves_alone_what_is_in_line) {
    Order single = placed();
    complete_attempts(single);
    EXPECT_EQ(single, placed());
    for (const Order& order : {paid_again(), hear(paid_again(), update(1, 5, PaymentStatus::captured, total)),
                               hear(hear(paid_again(), update(2, 2, PaymentStatus::failed)),
                                    update(1, 5, PaymentStatus::canceled))}) {
        Order adopted = order;
        complete_attempts(adopted);
        EXPECT_EQ(adopted, order);
    }
}

TEST(CompleteAttempts, takes_an_order_of_a_version_that_knows_one_attempt) {
    // Its second attempt failed.
    Order order = placed();
    order.status = OrderStatus::payment_failed;
    order.payment_status = PaymentStatus::failed;
    order.failure = contracts::Failure{"card_declined", "No."};
    order.payment_attempt = 2;
    order.payment_sequence = 2'000'003;
    Order adopted = order;
    complete_attempts(adopted);
    EXPECT_THAT(adopted.attempts,
                ElementsAre(PaymentAttempt{2, 2'000'003, PaymentStatus::failed, 0, 0, order.failure}));
    EXPECT_EQ(adopted.shown_attempt, 2);
    EXPECT_EQ(adopted.failure, order.failure);
    EXPECT_EQ(hear(adopted, update(1, 9, PaymentStatus::captured, total)).status, OrderStatus::paid);

    // It was paid again since.
    order.status = OrderStatus::processing;
    order.payment_status = PaymentStatus::pending;
    order.failure.reset();
    order.payment_attempt = 3;
    adopted = order;
    complete_attempts(adopted);
    EXPECT_EQ(adopted.attempts.size(), 2U);
    EXPECT_EQ(find_attempt(adopted.attempts, 2)->sequence, 2'000'003);
    EXPECT_EQ(adopted.shown_attempt, 3);
    EXPECT_EQ(adopted.payment_status, PaymentStatus::pending);
    EXPECT_EQ(hear(adopted, update(2, 3, PaymentStatus::failed)), adopted) << "known";
}

TEST(CompleteAttempts, keeps_the_money_of_an_older_attempt_in_sight) {
    Order order = hear(paid_again(), update(1, 5, PaymentStatus::captured, total));
    // A version that knows one attempt hears of the second.
    order.payment_status = PaymentStatus::failed;
    order.captured_minor = 0;
    order.payment_sequence = 2'000'002;
    complete_attempts(order);
    EXPECT_EQ(order.shown_attempt, 1);
    EXPECT_EQ(order.captured_minor, total);
    EXPECT_EQ(order.attempts.back().status, PaymentStatus::failed);
}

/// What may become of up to three attempts, each of which began after the one before had failed. At most one
/// ends with money in it, and money that was given back was not wanted: an order that is REFUNDED stays so.
class Course {
public:
    explicit Course(std::mt19937& dice) : dice_(dice) {
        const int attempts = 1 + roll(3);
        int payer = roll(attempts + 1);  // 0: none
        const bool some_go_back = roll(2) == 0;
        // An older attempt that pays after all does so beside failures only.
        if (some_go_back && payer != 0) payer = attempts;
        begin_ = placed();
        for (int attempt = 1; attempt <= attempts; ++attempt) {
            std::int64_t version = 2;
            if (attempt < attempts) {
                const auto first =
                    update(attempt, version++,
                           roll(2) == 0 ? PaymentStatus::failed : PaymentStatus::requires_action);
                news_.push_back(first);
                begin_ = pay_again(hear(begin_, first));
            } else {
                const int waits = roll(3);
                for (int i = 0; i < waits; ++i)
                    news_.push_back(
                        update(attempt, version++,
                               roll(2) == 0 ? PaymentStatus::unknown : PaymentStatus::authorized));
            }
            if (attempt == payer) {
                pay(attempt, version);
            } else if (some_go_back && roll(2) == 0) {
                pay(attempt, version);
                news_.push_back(update(attempt, version + 5, PaymentStatus::refunded, total, total));
            } else if (attempt == attempts || roll(2) == 0) {
                news_.push_back(
                    update(attempt, version, roll(2) == 0 ? PaymentStatus::failed : PaymentStatus::canceled));
            }
        }
    }

    /// After all the news in its order.
    [[nodiscard]] Order in_order(Order order) const {
        for (const auto& one : news_)
            order = hear(order, one);
        return order;
    }

    /// After all the news, some of it twice, in any order.
    [[nodiscard]] Order shuffled(Order order) {
        std::vector<contracts::PaymentUpdated> news = news_;
        for (const auto& one : news_) {
            if (roll(3) == 0) news.push_back(one);
        }
        std::ranges::shuffle(news, dice_);
        for (const auto& one : news)
            order = hear(order, one);
        return order;
    }

    [[nodiscard]] const Order& begin() const { return begin_; }

private:
    int roll(int sides) { return static_cast<int>(dice_() % static_cast<unsigned>(sides)); }

    void pay(int attempt, std::int64_t version) {
        const std::int64_t captured = roll(2) == 0 ? total : 500;
        news_.push_back(update(attempt, version, PaymentStatus::captured, captured));
        if (roll(2) == 0)
            news_.push_back(update(attempt, version + 1, PaymentStatus::partially_refunded, captured, 100));
    }

    std::mt19937& dice_;
    Order begin_;
    std::vector<contracts::PaymentUpdated> news_;
};

/// All but the history: how many steps it took depends on the way.
void expect_same(const Order& order, const Order& expected) {
    EXPECT_EQ(to_string(order.status), to_string(expected.status));
    EXPECT_EQ(order.payment_status, expected.payment_status);
    EXPECT_EQ(order.captured_minor, expected.captured_minor);
    EXPECT_EQ(order.refunded_minor, expected.refunded_minor);
    EXPECT_EQ(order.failure, expected.failure);
    EXPECT_EQ(order.shown_attempt, expected.shown_attempt);
    EXPECT_EQ(order.payment_attempt, expected.payment_attempt);
    EXPECT_EQ(order.payment_sequence, expected.payment_sequence);
    EXPECT_EQ(order.attempts, expected.attempts);
}

TEST(OrderAttempts, the_same_news_end_in_the_same_order_however_they_are_delivered) {
    std::mt19937 dice(19);
    std::map<std::string_view, int> ends;
    for (int course_number = 0; course_number < 2000 && !testing::Test::HasFailure(); ++course_number) {
        SCOPED_TRACE("course " + std::to_string(course_number));
        Course course(dice);
        const Order expected = course.in_order(course.begin());
        ++ends[to_string(expected.status)];
        const Order canceled =
            set_status(course.begin(), OrderStatus::canceled, Actor::customer, noon)->after;
        const Order expected_canceled = course.in_order(canceled);
        for (int i = 0; i < 10; ++i) {
            expect_same(course.shuffled(course.begin()), expected);
            expect_same(course.shuffled(canceled), expected_canceled);
        }
    }
    EXPECT_GT(ends["PAID"], 100);
    EXPECT_GT(ends["PAYMENT_FAILED"], 100);
    EXPECT_GT(ends["REFUNDED"], 100);
    EXPECT_EQ(ends.size(), 3U);
}

}  // namespace
}  // namespace quittance::orders
