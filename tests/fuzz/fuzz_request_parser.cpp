// A request reads the same however the network cuts it into pieces, and pipelined requests stay apart.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "http/request_parser.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::http {
namespace {

using fuzz::require;
using Progress = RequestParser::Progress;

constexpr RequestParser::Limits limits{.max_header_bytes = 512, .max_body_bytes = 256};

struct Read {
    Method method = Method::other;
    std::string target;
    std::vector<HeaderField> headers;
    std::string body;
    bool keeps_alive = false;

    bool operator==(const Read&) const = default;
};

struct Conversation {
    std::vector<Read> requests;
    int refused_with = 0;  ///< 0: not refused.
};

/// Of a header that is both too long and wrong, either may be told: whatever shows first.
bool is_same(const Conversation& a, const Conversation& b) {
    if (a.requests != b.requests) return false;
    if (a.refused_with == b.refused_with) return true;
    const auto too_long = [](int status) { return status == 414 || status == 431; };
    return a.refused_with != 0 && b.refused_with != 0 &&
           (too_long(a.refused_with) || too_long(b.refused_with));
}

/// Reads requests one after the other, as a connection does: what was not used is presented again with more
/// behind it.
class Reader {
public:
    void receive(std::string_view piece) {
        buffer_ += piece;
        while (!ended_) {
            std::string_view bytes = buffer_;
            const Progress progress = parser_->consume(bytes);
            require(bytes.size() <= buffer_.size(), "a parser takes bytes off, it adds none");
            buffer_.erase(0, buffer_.size() - bytes.size());
            if (progress == Progress::need_more) return;
            if (progress == Progress::complete) {
                complete();
            } else {
                refuse();
            }
        }
    }

    Conversation conversation;

private:
    void complete() {
        Request& request = parser_->request();
        require(request.body.size() <= limits.max_body_bytes, "no body is longer than allowed");
        require(parser_->header_complete(), "a complete request has a complete header");
        ended_ = !parser_->keeps_alive();
        conversation.requests.push_back(
            {request.method, parser_->target(), request.headers, request.body, parser_->keeps_alive()});
        parser_.emplace(limits);
    }

    void refuse() {
        const Refusal& refusal = parser_->refusal();
        static constexpr std::array faults{400, 413, 414, 431};
        require(std::ranges::find(faults, refusal.status) != faults.end(),
                "a refusal says which fault it was");
        require(!refusal.detail.empty(), "a refusal says why");
        conversation.refused_with = refusal.status;
        ended_ = true;
    }

    std::optional<RequestParser> parser_{std::in_place, limits};
    std::string buffer_;
    bool ended_ = false;
};

}  // namespace
}  // namespace quittance::http

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance::http;
    quittance::fuzz::Input input(data, size);
    // Where the pieces end: distances, repeated to the end.
    const std::size_t first = input.byte();
    const std::size_t then = input.byte() % 64 + 1U;

    // A header in pieces is judged when it has come to its end, one in a single piece at its first fault.
    const std::string sent = std::string(input.rest()) + "\r\n\r\n";
    Reader whole;
    whole.receive(sent);

    Reader cut;
    std::string_view left = sent;
    for (std::size_t length = first; !left.empty(); length = then) {
        cut.receive(left.substr(0, length));
        left.remove_prefix(std::min(length, left.size()));
    }
    quittance::fuzz::require(is_same(whole.conversation, cut.conversation),
                             "a request reads the same in pieces as in one");
    return 0;
}
