#include "users/password_hasher.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <future>
#include <memory>

#include <gtest/gtest.h>
#include <unistd.h>

namespace quittance::users {
namespace {

constexpr HashCost cheap{.memory_kib = 8, .passes = 1};

PasswordHasherOptions stepped(HashCost cost = cheap) {
    return {.cost = cost, .threads = 0, .max_queued = 4};
}

std::string hash_of(const PasswordHasher& hasher, const char* password) {
    return std::move(hasher.hash_now(Secret(password))).value();
}

PasswordCheck check(PasswordHasher& hasher, const char* password, std::optional<std::string> stored) {
    std::optional<Result<PasswordCheck>> answer;
    hasher.verify(Secret(password), std::move(stored), [&](auto result) { answer = std::move(result); });
    EXPECT_TRUE(hasher.step());
    return answer.value().value();
}

TEST(PasswordHasherTest, a_hash_is_salted_phc_text_that_only_its_password_matches) {
    PasswordHasher hasher(stepped());
    const std::string first = hash_of(hasher, "p4ss phrase");
    EXPECT_TRUE(first.starts_with("$argon2id$v=19$m=8,t=1,p=1$")) << first;
    EXPECT_NE(first, hash_of(hasher, "p4ss phrase"));
    EXPECT_TRUE(check(hasher, "p4ss phrase", first).matches);
    EXPECT_FALSE(check(hasher, "p4ss phrasE", first).matches);
    EXPECT_FALSE(check(hasher, "", first).matches);
    EXPECT_FALSE(check(hasher, "p4ss phrase", "not a hash").matches);
}

TEST(PasswordHasherTest, the_default_cost_is_the_recommended_one) {
    const PasswordHasher hasher({.threads = 0});
    const std::string phc = hash_of(hasher, "p4ss phrase");
    EXPECT_TRUE(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << phc;
    EXPECT_LE(phc.size(), 127U);
}

TEST(PasswordHasherTest, a_hash_made_at_another_cost_still_matches_and_asks_for_a_new_one) {
    PasswordHasher old_hasher(stepped());
    PasswordHasher new_hasher(stepped({.memory_kib = 16, .passes = 1}));
    const std::string phc = hash_of(old_hasher, "p4ss phrase");
    EXPECT_FALSE(check(old_hasher, "p4ss phrase", phc).needs_rehash);
    const PasswordCheck found = check(new_hasher, "p4ss phrase", phc);
    EXPECT_TRUE(found.matches);
    EXPECT_TRUE(found.needs_rehash);
}

TEST(PasswordHasherTest, without_memory_for_the_check_a_password_is_not_called_wrong) {
    int overcommit = 0;
    std::ifstream("/proc/sys/vm/overcommit_memory") >> overcommit;
    if (overcommit == 1) GTEST_SKIP() << "this system promises memory that it does not have";
    PasswordHasher hasher(stepped());
    // 4 TiB.
    const std::string too_large =
        "$argon2id$v=19$m=4294967295,t=1,p=1$" + std::string(22, 'A') + "$" + std::string(43, 'A');
    std::optional<Result<PasswordCheck>> answer;
    hasher.verify(Secret("p4ss phrase"), too_large, [&](auto result) { answer = std::move(result); });
    hasher.step();
    ASSERT_TRUE(answer && !answer->ok());
    EXPECT_EQ(answer->error().code, ErrorCode::unavailable);
}

/// Of this thread, so that what else the machine does is not counted.
double processor_seconds() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

double seconds_of_check(PasswordHasher& hasher, const std::optional<std::string>& stored) {
    const double start = processor_seconds();
    EXPECT_FALSE(check(hasher, "wrong", stored).matches);
    return processor_seconds() - start;
}

TEST(PasswordHasherTest, an_unknown_user_costs_as_much_as_a_wrong_password) {
    PasswordHasher hasher(stepped({.memory_kib = 8192, .passes = 2}));
    const std::string stored = hash_of(hasher, "right");
    double known = 1e9;
    double unknown = 1e9;
    for (int i = 0; i < 10; ++i) {
        known = std::min(known, seconds_of_check(hasher, stored));
        unknown = std::min(unknown, seconds_of_check(hasher, std::nullopt));
    }
    EXPECT_LT(unknown, known * 1.5);
    EXPECT_GT(unknown, known / 1.5);
}

TEST(PasswordHasherTest, a_full_queue_answers_overloaded_at_once) {
    PasswordHasher hasher(stepped());
    int answered = 0;
    for (int i = 0; i < 4; ++i) {
        hasher.hash(Secret("p4ss phrase"), [&](auto result) { answered += result.ok() ? 1 : 0; });
    }
    EXPECT_EQ(hasher.queued(), 4U);
    std::optional<Error> refused;
    hasher.verify(Secret("p4ss phrase"), std::nullopt, [&](auto result) { refused = result.error(); });
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code, ErrorCode::overloaded);
    EXPECT_GT(refused->retry_after_s, 0);
    while (hasher.step()) {
    }
    EXPECT_EQ(answered, 4);
}

TEST(PasswordHasherTest, what_still_waits_at_the_end_is_answered_unavailable) {
    std::optional<Error> refused;
    {
        PasswordHasher hasher(stepped());
        hasher.hash(Secret("p4ss phrase"), [&](auto result) { refused = result.error(); });
    }
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code, ErrorCode::unavailable);
}

TEST(PasswordHasherTest, memory_that_cannot_be_had_is_an_error_and_not_a_crash) {
    const PasswordHasher hasher({.cost = {.memory_kib = std::size_t{1} << 32, .passes = 1}, .threads = 0});
    const auto result = hasher.hash_now(Secret("p4ss phrase"));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::unavailable);
}

long resident_kib() {
    long pages_total = 0;
    long pages_resident = 0;
    std::ifstream("/proc/self/statm") >> pages_total >> pages_resident;
    return pages_resident * (sysconf(_SC_PAGESIZE) / 1024);
}

TEST(PasswordHasherTest, threads_answer_and_the_memory_goes_back) {
    const long before_kib = resident_kib();
    PasswordHasher hasher({.threads = 2, .max_queued = 16});
    std::vector<std::future<bool>> answers;
    for (int i = 0; i < 8; ++i) {
        auto promise = std::make_shared<std::promise<bool>>();
        answers.push_back(promise->get_future());
        hasher.hash(Secret("p4ss phrase"), [promise](auto result) { promise->set_value(result.ok()); });
    }
    for (auto& answer : answers)
        EXPECT_TRUE(answer.get());
    const long grown_kib = resident_kib() - before_kib;
    EXPECT_LT(grown_kib, 8 * 1024) << "a hash of 19 MiB left its memory behind";
}

}  // namespace
}  // namespace quittance::users
