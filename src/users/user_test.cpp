#include "users/user.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "users/common_passwords.hpp"

namespace quittance::users {

void PrintTo(const User& user, std::ostream* out) {
    *out << user.id.to_string() << " " << user.email;
}

namespace {

using namespace std::chrono_literals;

Registration acceptable() {
    return {"Ada Lovelace", "ada@example.com", Secret("a far better pass phrase")};
}

std::vector<std::string> pointers(const Registration& registration) {
    std::vector<std::string> found;
    for (const Fault& fault : registration_faults(registration))
        found.push_back(fault.pointer);
    return found;
}

const Timestamp noon = timestamp_from_ms(1'800'000'000'000);

TEST(RegistrationTest, an_ordinary_registration_is_acceptable) {
    EXPECT_TRUE(registration_faults(acceptable()).empty());
}

TEST(RegistrationTest, every_broken_rule_is_named_with_its_pointer) {
    EXPECT_EQ(pointers({"", "nobody", Secret("short")}),
              (std::vector<std::string>{"/name", "/email", "/password"}));
}

TEST(RegistrationTest, names_are_text_of_1_to_200_characters) {
    Registration registration = acceptable();
    std::string thai;
    for (int i = 0; i < 200; ++i)
        thai += "ก";
    for (const std::string& good :
         {std::string("x"), std::string("Łukasz 李"), std::string(200, 'n'), thai}) {
        registration.name = good;
        EXPECT_TRUE(pointers(registration).empty()) << good;
    }
    for (const std::string& bad :
         {std::string(), std::string("  \t"), std::string(201, 'n'), std::string("a\nb"),
          std::string("bad \xC3("), std::string("a\0b", 3), thai + "ก"}) {
        registration.name = bad;
        EXPECT_EQ(pointers(registration), std::vector<std::string>{"/name"}) << bad;
    }
}

TEST(RegistrationTest, email_addresses_are_what_a_browser_accepts) {
    Registration registration = acceptable();
    const std::string longest = std::string(64, 'l') + "@" + std::string(63, 'd') + "." +
                                std::string(63, 'e') + "." + std::string(61, 'f');
    ASSERT_EQ(longest.size(), max_email_characters);
    for (const std::string& good : {std::string("a@b"), std::string("first.last+tag@sub.example.co.uk"),
                                    std::string("o'neil@example.com"), longest}) {
        registration.email = good;
        EXPECT_TRUE(pointers(registration).empty()) << good;
    }
    for (const std::string& bad :
         {std::string(""), std::string("@"), std::string("a@"), std::string("@b"), std::string("a b@c.d"),
          std::string("a@b@c"), std::string("a@-b.c"), std::string("a@b..c"), std::string("a@b."),
          std::string("a@b_c"), std::string("a\n@b"), std::string(65, 'l') + "@b.c", longest + "x",
          std::string("ü@example.com"), std::string("a@") + std::string(64, 'd')}) {
        registration.email = bad;
        EXPECT_EQ(pointers(registration), std::vector<std::string>{"/email"}) << bad;
    }
}

TEST(RegistrationTest, addresses_are_compared_trimmed_and_without_regard_to_case) {
    EXPECT_EQ(normalize_email(" \tAda@Example.COM\r\n"), "ada@example.com");
    EXPECT_EQ(normalize_email("   "), "");
    EXPECT_EQ(normalize_email("\xC3\x84@x"), "\xC3\x84@x") << "only ASCII letters are folded";
}

TEST(RegistrationTest, passwords_are_8_to_256_characters_of_anything_not_easy_to_guess) {
    Registration registration = acceptable();
    for (const std::string& good :
         {std::string("kx7-vq2b"), std::string("пароль-с-дачи"), std::string("😀😃😀😃😀😃ab"),
          std::string("ab").append(254, 'q'), std::string("        x")}) {
        registration.password = Secret(good);
        EXPECT_TRUE(pointers(registration).empty()) << good;
    }
    for (const std::string& bad :
         {std::string("7 chars"), std::string("éèéè"), std::string("ééééééééé"), std::string("нопрстуф"),
          std::string("\xC3(\xC3(\xC3(\xC3(x"), std::string("ab").append(255, 'q'), std::string("password"),
          std::string("PassWord123"), std::string("12345678"), std::string("87654321"),
          std::string("abcdefghij"), std::string("zzzzzzzzzzzz"), std::string("Ada@Example.com")}) {
        registration.password = Secret(bad);
        EXPECT_EQ(pointers(registration), std::vector<std::string>{"/password"}) << bad;
    }
}

TEST(RegistrationTest, the_list_of_common_passwords_holds_only_what_the_length_rule_lets_through) {
    EXPECT_GT(common_passwords.size(), 300U);
    for (const std::string_view password : common_passwords) {
        EXPECT_GE(password.size(), min_password_characters) << password;
        EXPECT_EQ(normalize_email(password), password) << "lists hold lower case";
    }
}

TEST(LoginDelayTest, four_failures_are_free_then_the_delay_doubles_to_15_minutes) {
    const std::vector<std::chrono::milliseconds> expected{0s,  0s,  0s,  0s,   0s,   1s,   2s,   4s,  8s,
                                                          16s, 32s, 64s, 128s, 256s, 512s, 900s, 900s};
    for (std::size_t count = 0; count < expected.size(); ++count) {
        EXPECT_EQ(login_delay({static_cast<int>(count), noon}, {}, 0, noon), expected[count]) << count;
    }
    EXPECT_EQ(login_delay({2'000'000'000, noon}, {}, 0, noon), 15min);
}

TEST(LoginDelayTest, the_delay_runs_from_the_last_failure_and_never_outgrows_itself) {
    EXPECT_EQ(login_delay({7, noon}, {}, 0, noon + 1500ms), 2500ms);
    EXPECT_EQ(login_delay({7, noon}, {}, 0, noon + 4s), 0s);
    EXPECT_EQ(login_delay({7, noon}, {}, 0, noon - 10h), 4s) << "the wall clock was set back";
}

TEST(LoginDelayTest, attempts_in_flight_count_as_if_they_had_failed) {
    EXPECT_EQ(login_delay({0, noon}, {}, 4, noon), 0s);
    EXPECT_EQ(login_delay({0, noon}, {}, 5, noon), 1s);
    EXPECT_EQ(login_delay({0, noon}, {}, 100, noon), 1s) << "they may as well be right";
    EXPECT_EQ(login_delay({3, noon}, {}, 1, noon), 0s);
    EXPECT_EQ(login_delay({3, noon}, {}, 2, noon), 1s);
    EXPECT_EQ(login_delay({14, noon}, {}, 0, noon + 15min), 0s);
    EXPECT_EQ(login_delay({14, noon}, {}, 1, noon + 15min), 15min);
}

TEST(LoginDelayTest, what_fails_elsewhere_keeps_nobody_out_who_has_not_failed) {
    for (const int elsewhere : {15, failures_of_an_attack, 1'000'000})
        EXPECT_EQ(login_delay({}, {elsewhere, noon}, 0, noon), 0s) << elsewhere;
}

TEST(LoginDelayTest, under_attack_no_failure_is_free) {
    const LoginFailures account{failures_of_an_attack, noon};
    EXPECT_EQ(login_delay({1, noon}, account, 0, noon), 60s);
    EXPECT_EQ(login_delay({2, noon}, account, 0, noon), 120s);
    EXPECT_EQ(login_delay({5, noon}, account, 0, noon), 15min);
    EXPECT_EQ(login_delay({}, account, 1, noon), 60s) << "nor a second attempt at the same time";
    EXPECT_EQ(login_delay({1, noon}, {failures_of_an_attack - 1, noon}, 0, noon), 0s);
    EXPECT_EQ(login_delay({1, noon + 1h}, account, 0, noon + 1h), 0s) << "the attack is forgotten";
}

TEST(PasswordTest, is_the_same_however_its_letters_were_composed) {
    EXPECT_EQ(normalize_password(Secret("cafe\u0301 au lait")).reveal(), "caf\u00e9 au lait");
    EXPECT_EQ(normalize_password(Secret("caf\u00e9 au lait")).reveal(), "caf\u00e9 au lait");
    EXPECT_EQ(normalize_password(Secret("plain")).reveal(), "plain");
    EXPECT_EQ(normalize_password(Secret("not \xC3( text")).reveal(), "not \xC3( text");
}

TEST(LoginDelayTest, failures_are_forgotten_after_an_hour) {
    EXPECT_EQ(with_login_failure({3, noon}, noon + 1s).count, 4);
    EXPECT_EQ(with_login_failure({20, noon}, noon + 59min).count, 21);
    EXPECT_EQ(with_login_failure({20, noon}, noon + 1h).count, 1);
    EXPECT_EQ(with_login_failure({}, noon).last_at, noon);
    EXPECT_EQ(login_delay({20, noon}, {}, 4, noon + 1h), 0s);
}

TEST(RefreshTest, only_the_newest_token_of_a_family_is_good_and_any_other_ends_it) {
    const RefreshFamily family{"newest", noon + 1h};
    EXPECT_EQ(judge_refresh(family, "newest", noon), RefreshVerdict::rotate);
    EXPECT_EQ(judge_refresh(family, "older", noon), RefreshVerdict::revoke);
    EXPECT_EQ(judge_refresh(family, "newest", noon + 1h), RefreshVerdict::expire);
}

}  // namespace
}  // namespace quittance::users
