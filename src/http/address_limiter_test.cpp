#include "http/address_limiter.hpp"

#include <gtest/gtest.h>

#include "core/manual_clock.hpp"

namespace quittance::http {
namespace {

using namespace std::chrono_literals;

Request from(std::string address, std::vector<HeaderField> headers = {}) {
    Request request;
    request.remote_address = std::move(address);
    request.headers = std::move(headers);
    return request;
}

class AddressLimiterTest : public testing::Test {
protected:
    /// How many of so many are let through.
    int admitted(const std::string& address, int tries) {
        int count = 0;
        for (int i = 0; i < tries; ++i)
            count += limiter_.refuse(from(address)) ? 0 : 1;
        return count;
    }

    ManualClock clock_;
    AddressLimiter limiter_{{.per_second = 5, .burst_s = 4, .max_addresses = 100}, clock_};
};

TEST_F(AddressLimiterTest, an_address_gets_a_burst_and_then_its_rate) {
    EXPECT_EQ(admitted("192.0.2.1", 100), 20);
    clock_.advance(200ms);
    EXPECT_EQ(admitted("192.0.2.1", 100), 1);
    clock_.advance(10s);
    EXPECT_EQ(admitted("192.0.2.1", 100), 20) << "a pause saves up no more than a burst";
}

TEST_F(AddressLimiterTest, a_refusal_says_when_to_come_again) {
    admitted("192.0.2.1", 20);
    const auto refused = limiter_.refuse(from("192.0.2.1"));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code, ErrorCode::rate_limited);
    EXPECT_EQ(refused->retry_after_s, 1);
    clock_.advance(1s);
    EXPECT_FALSE(limiter_.refuse(from("192.0.2.1")));
}

TEST_F(AddressLimiterTest, addresses_do_not_hinder_each_other_but_a_network_of_ipv6_is_one) {
    EXPECT_EQ(admitted("192.0.2.1", 100), 20);
    EXPECT_EQ(admitted("192.0.2.2", 100), 20);
    EXPECT_EQ(admitted("::ffff:192.0.2.2", 100), 0) << "the same address in another form";
    EXPECT_EQ(admitted("2001:db8:0:1::1", 10), 10);
    EXPECT_EQ(admitted("2001:db8:0:1:ffff::2", 100), 10);
    EXPECT_EQ(admitted("2001:db8:0:2::1", 100), 20);
    EXPECT_EQ(admitted("unknown", 10), 10);
    EXPECT_EQ(admitted("", 100), 10) << "what is no address shares one bucket";
}

TEST_F(AddressLimiterTest, this_machine_has_no_limit) {
    for (const char* address : {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"})
        EXPECT_EQ(admitted(address, 100), 100) << address;
    EXPECT_EQ(limiter_.remembered(), 0U);
}

TEST_F(AddressLimiterTest, a_rate_of_zero_is_no_limit) {
    AddressLimiter limiter({.per_second = 0}, clock_);
    for (int i = 0; i < 1000; ++i)
        EXPECT_FALSE(limiter.refuse(from("192.0.2.1")));
}

TEST_F(AddressLimiterTest, only_so_many_addresses_are_remembered_and_new_ones_are_still_served) {
    for (int i = 0; i < 1000; ++i)
        EXPECT_EQ(admitted("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1), 1);
    EXPECT_EQ(limiter_.remembered(), 100U);
    clock_.advance(10s);
    EXPECT_EQ(admitted("192.0.2.1", 100), 20);
    EXPECT_EQ(limiter_.remembered(), 1U) << "those whose buckets are full make room first";
}

TEST(ClientAddressTest, without_a_trusted_proxy_it_is_the_peer) {
    EXPECT_EQ(client_address(from("192.0.2.1", {{"x-forwarded-for", "203.0.113.9"}}), 0), "192.0.2.1");
}

TEST(ClientAddressTest, behind_proxies_it_is_what_the_outermost_trusted_one_saw) {
    const Request request = from(
        "10.0.0.1",
        {{"x-forwarded-for", "1.1.1.1 , 203.0.113.9"}, {"accept", "*/*"}, {"x-forwarded-for", "\t10.0.0.2"}});
    EXPECT_EQ(client_address(request, 1), "10.0.0.2");
    EXPECT_EQ(client_address(request, 2), "203.0.113.9");
    EXPECT_EQ(client_address(request, 3), "1.1.1.1");
    EXPECT_EQ(client_address(request, 4), "10.0.0.1") << "it passed fewer proxies than are trusted";
    EXPECT_EQ(client_address(from("10.0.0.1"), 1), "10.0.0.1");
}

TEST(ClientAddressTest, ports_are_left_out) {
    const auto seen = [](const char* hop) {
        return std::string(client_address(from("10.0.0.1", {{"x-forwarded-for", hop}}), 1));
    };
    EXPECT_EQ(seen("192.0.2.1:4711"), "192.0.2.1");
    EXPECT_EQ(seen("[2001:db8::1]:4711"), "2001:db8::1");
    EXPECT_EQ(seen("[2001:db8::1]"), "2001:db8::1");
    EXPECT_EQ(seen("2001:db8::1"), "2001:db8::1");
    EXPECT_EQ(seen("["), "");
}

}  // namespace
}  // namespace quittance::http
