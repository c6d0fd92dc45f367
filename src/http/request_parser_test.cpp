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

/// Presents what was left again with more behind it, as a connection does.
RequestParser::Progress receive(RequestParser& parser, std::string& left, std::string_view piece) {
    left += piece;
    std::string_view bytes = left;
    const auto progress = parser.consume(bytes);
    left.erase(0, left.size() - bytes.size());
    return progress;
}

TEST(RequestParserTest, AChunkedRequestMayBeCutAnywhereInto3) {
    const std::string head = "POST /things HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string body : {"0\r\n\r\n", "00;a=b\r\nTrailer: t\r\n\r\n", "1\r\nx\r\n0\r\n\r\n"}) {
        const std::string sent = head + body;
        for (std::size_t first = head.size() - 1; first < sent.size(); ++first) {
            for (std::size_t second = first + 1; second < sent.size(); ++second) {
                RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
                std::string left;
                ASSERT_EQ(receive(parser, left, sent.substr(0, first)), RequestParser::Progress::need_more);
                ASSERT_EQ(receive(parser, left, sent.substr(first, second - first)),
                          RequestParser::Progress::need_more);
                ASSERT_EQ(receive(parser, left, sent.substr(second)), RequestParser::Progress::complete)
                    << first << " " << second;
                EXPECT_EQ(parser.request().body, body.front() == '1' ? "x" : "");
                EXPECT_TRUE(left.empty());
            }
        }
    }
}

TEST(RequestParserTest, QuotesThatAChunksLineDoesNotCloseAreRefusedAtOnce) {
    const std::string head = "POST /things HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string body : {"4;x=\"y\r\n", "1\r\nx\r\n04;x=\"\r\n"}) {
        RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
        std::string left;
        for (const char c : head + body.substr(0, body.size() - 1))
            ASSERT_EQ(receive(parser, left, {&c, 1}), RequestParser::Progress::need_more);
        ASSERT_EQ(receive(parser, left, "\n"), RequestParser::Progress::refused);
        EXPECT_EQ(parser.refusal().status, 400);
    }
    RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
    const std::string sent = head + "4;x=\"y\"\r\nabcd\r\n0;x=\"y\"\r\n\r\n";
    std::string_view bytes = sent;
    EXPECT_EQ(parser.consume(bytes), RequestParser::Progress::complete);
    EXPECT_EQ(parser.request().body, "abcd");
}

TEST(RequestParserTest, ACarriageReturnAloneBeginsNoRequest) {
    RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 1024});
    std::string_view bytes = "\rGET / HTTP/1.1\r\nHost: test\r\n\r\n";
    EXPECT_EQ(parser.consume(bytes), RequestParser::Progress::refused);
    EXPECT_EQ(parser.refusal().status, 400);
}

}  // namespace
}  // namespace quittance::http
