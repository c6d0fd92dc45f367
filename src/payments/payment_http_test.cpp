#include "payments/payment_http.hpp"

#include <string>
#include <utility>

#include <boost/json.hpp>
#include <gmock/gmock.h>

#include "http/handler_testing.hpp"
#include "payments/payment_test_world.hpp"

namespace quittance::payments {
namespace {

namespace json = boost::json;

/// The token is the user's id; "admin" is an ADMIN.
class PlainTokens final : public http::TokenVerifier {
public:
    Result<Principal> verify(std::string_view token) override {
        if (token == "admin") return Principal{UserId(), Role::admin};
        if (const auto user = UserId::parse(token)) return Principal{*user, Role::customer};
        return Error{ErrorCode::unauthenticated, "The token is not valid.", {}, 0};
    }
};

class PaymentHttpTest : public PaymentWorld {
protected:
    PaymentHttpTest() {
        add_payment_routes(router_, process->service, tokens_);
        event_ = created("pm_card_chargeDeclined");
        publish(event_);
        settle();
        payment_id_ = payment_of(event_.order_id).id.to_string();
    }

    http::Response get(const std::string& path, const std::string& token,
                       std::vector<http::HeaderField> query = {}) {
        http::Request request;
        request.path = path;
        request.query = std::move(query);
        if (!token.empty()) request.headers = {{"authorization", "Bearer " + token}};
        return http::answer_of(router_, std::move(request),
                               [this] { process->readers.step(process->reader); });
    }
    [[nodiscard]] std::string owner() const { return event_.user_id.to_string(); }
    [[nodiscard]] std::string order() const { return event_.order_id.to_string(); }

    std::string payment_id_;

private:
    http::Router router_;
    PlainTokens tokens_;
    contracts::OrderCreated event_;
};

TEST_F(PaymentHttpTest, ShowsAPaymentToItsOwner) {
    const auto response = get("/payments/" + payment_id_, owner());
    ASSERT_EQ(response.status, 200) << response.body;
    const std::string expected =
        R"({"id":")" + payment_id_ + R"(","orderId":")" + order() +
        R"(","status":"FAILED","amount":1250,"capturedAmount":0,"refundedAmount":0,"currency":"EUR",)"
        R"("method":"pm_card_chargeDeclined","provider":"scripted","providerReference":"sim_pay-)" +
        payment_id_ +
        R"(","failure":{"code":"card_declined","detail":"The card was declined."},)"
        R"("createdAt":"2027-01-15T08:00:00.000Z","updatedAt":"2027-01-15T08:00:00.000Z","refunds":[]})";
    EXPECT_EQ(response.body, expected);
}

TEST_F(PaymentHttpTest, AnotherPersonsPaymentIsNotThere) {
    const std::string stranger = created().user_id.to_string();
    EXPECT_EQ(get("/payments/" + payment_id_, stranger).status, 404);
    EXPECT_EQ(get("/payments/" + payment_id_, "admin").status, 200);
    EXPECT_EQ(get("/payments/" + order(), owner()).status, 404);
    EXPECT_EQ(get("/payments/no-uuid", owner()).status, 404);
}

TEST_F(PaymentHttpTest, ListsTheAttemptsOfAnOrder) {
    const auto response = get("/payments", owner(), {{"orderId", order()}});
    ASSERT_EQ(response.status, 200);
    const json::value body = json::parse(response.body);
    ASSERT_EQ(body.at("data").as_array().size(), 1U);
    EXPECT_EQ(std::string(body.at("data").as_array()[0].at("id").as_string()), payment_id_);
    EXPECT_TRUE(body.at("nextCursor").is_null());
}

TEST_F(PaymentHttpTest, AnUnknownOrForeignOrderGivesAnEmptyPage) {
    const std::string stranger = created().user_id.to_string();
    const std::string empty = R"({"data":[],"nextCursor":null})";
    EXPECT_EQ(get("/payments", stranger, {{"orderId", order()}}).body, empty);
    EXPECT_EQ(get("/payments", owner(), {{"orderId", payment_id_}}).body, empty);
}

TEST_F(PaymentHttpTest, AMissingOrMalformedOrderIdIsExplained) {
    const auto missing = get("/payments", owner());
    EXPECT_EQ(missing.status, 400);
    EXPECT_THAT(missing.body, testing::HasSubstr("orderId is required"));
    const auto malformed = get("/payments", owner(), {{"orderId", "7"}});
    EXPECT_EQ(malformed.status, 400);
    EXPECT_THAT(malformed.body, testing::HasSubstr("orderId must be a UUID"));
}

TEST_F(PaymentHttpTest, NobodySeesPaymentsWithoutAToken) {
    EXPECT_EQ(get("/payments/" + payment_id_, "").status, 401);
    EXPECT_EQ(get("/payments", "forged", {{"orderId", order()}}).status, 401);
}

}  // namespace
}  // namespace quittance::payments
