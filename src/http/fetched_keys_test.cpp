#include "http/fetched_keys.hpp"

#include <future>
#include <optional>
#include <vector>

#include "core/manual_clock.hpp"
#include "http/testing.hpp"
#include "http/token_testing.hpp"

namespace quittance::http {
namespace {

class FetchedKeysTest : public testing::Test {
protected:
    /// Answers the fetch that is under way; false when there is none.
    bool answer(Result<std::string> text) {
        if (!fetched_) return false;
        auto fetched = std::exchange(fetched_, nullptr);
        fetched(std::move(text));
        return true;
    }
    bool answer_with(const std::vector<json::object>& keys) { return answer(jwks(keys)); }
    bool fail() { return answer(Error{ErrorCode::unavailable, "nobody there", {}, 0}); }

    /// Moves time on and lets the source do what is due; whether it asked for keys.
    bool fetches_after(std::chrono::milliseconds time) {
        clock_.advance(time);
        const int before = fetches_;
        keys_.step();
        return fetches_ > before;
    }
    void expect(const char* kid, std::optional<ErrorCode> error) {
        const auto found = keys_.find(kid);
        if (!error) {
            EXPECT_TRUE(found.ok()) << kid;
            return;
        }
        ASSERT_FALSE(found.ok()) << kid;
        EXPECT_EQ(found.error().code, *error) << kid << ": " << found.error().detail;
    }
    void expect_found(const char* kid) { expect(kid, std::nullopt); }

    ManualClock clock_;
    const TestKey key_ = TestKey::p256();
    const TestKey other_ = TestKey::p256();
    int fetches_ = 0;
    FetchedKeySource::Fetched fetched_;
    FetchedKeySource keys_{[this](FetchedKeySource::Fetched fetched) {
                               ++fetches_;
                               fetched_ = std::move(fetched);
                           },
                           "the shop", clock_};
};

TEST_F(FetchedKeysTest, until_there_are_keys_nobody_can_say_whether_a_token_is_good) {
    expect("a", ErrorCode::unavailable);
    ASSERT_TRUE(keys_.problem());
    EXPECT_NE(keys_.problem()->find("the shop"), std::string::npos) << *keys_.problem();
    EXPECT_TRUE(fetches_after(0ms));
    expect("a", ErrorCode::unavailable);
    answer_with({key_.jwk("a")});
    expect_found("a");
    EXPECT_FALSE(keys_.problem());
}

TEST_F(FetchedKeysTest, a_fetch_that_fails_is_repeated_with_growing_pauses) {
    std::vector<int> pauses_ms;
    int waited_ms = 0;
    keys_.step();
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(fail());
        waited_ms = 0;
        do {
            waited_ms += 100;
        } while (!fetches_after(100ms));
        pauses_ms.push_back(waited_ms);
    }
    EXPECT_EQ(pauses_ms, (std::vector<int>{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000}));
    EXPECT_NE(keys_.problem()->find("nobody there"), std::string::npos) << *keys_.problem();
}

TEST_F(FetchedKeysTest, only_one_fetch_is_under_way_at_a_time) {
    EXPECT_TRUE(fetches_after(0ms));
    EXPECT_FALSE(fetches_after(1h));
}

TEST_F(FetchedKeysTest, keys_are_fetched_anew_now_and_then_and_withdrawn_ones_are_forgotten) {
    keys_.step();
    answer_with({key_.jwk("a")});
    EXPECT_FALSE(fetches_after(299s));
    EXPECT_TRUE(fetches_after(1s));
    expect_found("a");
    answer_with({other_.jwk("b")});
    expect_found("b");
    expect("a", ErrorCode::unavailable);
    keys_.step();
    answer_with({other_.jwk("b")});
    expect("a", ErrorCode::unauthenticated);
}

TEST_F(FetchedKeysTest, keys_stay_good_when_a_fetch_fails_or_brings_none) {
    keys_.step();
    answer_with({key_.jwk("a")});
    for (const char* useless : {"", "<html>", R"({"keys":[]})", R"({"keys":[{"kty":"oct","kid":"a"}]})"}) {
        ASSERT_TRUE(fetches_after(300s)) << useless;
        answer(std::string(useless));
        expect_found("a");
        EXPECT_FALSE(keys_.problem());
    }
    expect("b", ErrorCode::unavailable);
}

TEST_F(FetchedKeysTest, an_unknown_kid_is_looked_for_at_once) {
    keys_.step();
    answer_with({key_.jwk("a")});
    expect("b", ErrorCode::unavailable);
    EXPECT_TRUE(fetches_after(0ms));
    expect("b", ErrorCode::unavailable);
    answer_with({key_.jwk("a"), other_.jwk("b")});
    expect_found("b");
    expect_found("a");
}

TEST_F(FetchedKeysTest, kids_that_somebody_invents_cost_one_fetch_in_ten_seconds) {
    keys_.step();
    answer_with({key_.jwk("a")});
    expect("invented", ErrorCode::unavailable);
    EXPECT_TRUE(fetches_after(0ms));
    answer_with({key_.jwk("a")});
    for (const char* kid : {"invented", "another", ""}) {
        expect(kid, ErrorCode::unauthenticated);
        EXPECT_FALSE(fetches_after(3s));
    }
    expect_found("a");
    clock_.advance(1s);
    expect("invented", ErrorCode::unavailable);
    EXPECT_TRUE(fetches_after(0ms));
}

TEST_F(FetchedKeysTest, an_answer_may_come_after_the_source_is_gone) {
    FetchedKeySource::Fetched late;
    {
        FetchedKeySource short_lived([&](FetchedKeySource::Fetched fetched) { late = std::move(fetched); },
                                     "the shop", clock_);
        short_lived.step();
    }
    late(jwks({key_.jwk("a")}));
}

/// Over a real server.
class FetchOverHttpTest : public ServerTest {
protected:
    Result<std::string> fetch() {
        Client client;
        std::promise<Result<std::string>> promise;
        fetch_over_http(client, "http://127.0.0.1:" + std::to_string(port()) + "/keys")(
            [&](Result<std::string> text) { promise.set_value(std::move(text)); });
        return promise.get_future().get();
    }
    void serve(Response response) {
        router.add(Method::get, "/keys",
                   [response = std::move(response)](Request&) -> boost::asio::awaitable<Response> {
                       co_return response;
                   });
        start();
    }
};

TEST_F(FetchOverHttpTest, the_body_is_what_was_asked_for) {
    serve(json_response(200, R"({"keys":[]})"));
    const auto text = fetch();
    ASSERT_TRUE(text.ok()) << text.error().detail;
    EXPECT_EQ(*text, R"({"keys":[]})");
}

TEST_F(FetchOverHttpTest, another_status_is_a_failure_that_says_so) {
    serve(json_response(404, "{}"));
    const auto text = fetch();
    ASSERT_FALSE(text.ok());
    EXPECT_NE(text.error().detail.find("404"), std::string::npos) << text.error().detail;
}

}  // namespace
}  // namespace quittance::http
