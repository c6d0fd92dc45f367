#include "http/request_parser.hpp"

#include <gtest/gtest.h>

#include "http/testing.hpp"

namespace quittance::http {
namespace {

// How the network cuts a request into pieces is chance, so every cut is tried.
TEST(RequestParserTest, ARequestMayBeCutAnywhere) {
    const std::string sent = "\r\n\r\n" + post("/things", "{\"a\":[1,2,3]}");
    for (std::size_t cut = 0; cut <= sent.size(); ++cut) {
        RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
        std::string_view first = std::string_view(sent).substr(0, cut);
        const auto progress = parser.consume(first);
        if (cut < sent.size()) {
            ASSERT_EQ(progress, RequestParser::Progress::need_more) << cut;
            const std::string left = std::string(first) + sent.substr(cut);
            std::string_view rest = left;
            ASSERT_EQ(parser.consume(rest), RequestParser::Progress::complete) << cut;
            EXPECT_TRUE(rest.empty()) << cut;
        }
        EXPECT_EQ(parser.target(), "/things") << cut;
        EXPECT_EQ(parser.request().body, "{\"a\":[1,2,3]}") << cut;
    }
}

TEST(RequestParserTest, ACarriageReturnAloneBeginsNoRequest) {
    RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
    std::string_view bytes = "\rGET / HTTP/1.1\r\nHost: test\r\n\r\n";
    EXPECT_EQ(parser.consume(bytes), RequestParser::Progress::refused);
    EXPECT_EQ(parser.refusal().status, 400);
}

}  // namespace
}  // namespace quittance::http
