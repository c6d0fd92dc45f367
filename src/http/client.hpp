// Calls to other people's servers, many at once, on libcurl.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "core/secret.hpp"
#include "http/message.hpp"

namespace quittance::http {

struct ClientRequest {
    Method method = Method::get;
    std::string url;                            ///< http or https; nothing else is opened.
    std::vector<HeaderField> headers;           ///< Neither Content-Length nor Authorization.
    Secret bearer_token;                        ///< Sent as `Authorization: Bearer …` when it is not empty.
    std::string body;                           ///< For POST, PUT and PATCH.
    std::chrono::milliseconds timeout{30'000};  ///< For all of it: connecting, asking, reading the answer.
    std::size_t max_response_bytes = 0;         ///< 0: the client's.
};

struct ClientResponse {
    int status = 0;
    std::vector<HeaderField> headers;  ///< Names in lower case.
    std::string body;

    /// The first value, or an empty text.
    [[nodiscard]] std::string_view header(std::string_view lower_case_name) const;
};

/// An answer, whatever its status, or the reason why there is none.
struct ClientOutcome {
    std::optional<ClientResponse> response;
    std::string failure;  ///< For a log; holds no secret.
    /// Without an answer: false proves that the server has not seen the request.
    bool may_have_arrived = false;
    bool too_long = false;  ///< There was an answer, of more bytes than allowed.
    /// A connection that was used before broke without an answer, and the request was sent again over a new
    /// one: the server may have seen it twice.
    bool sent_again = false;
};

/// Called exactly once, on the client's own thread; must not block or throw.
using ClientDone = absl::AnyInvocable<void(ClientOutcome)>;

struct ClientOptions {
    std::size_t max_in_flight = 1024;  ///< Beyond it, a request fails at once.
    long max_connections_per_host = 64;
    std::chrono::milliseconds connect_timeout{5'000};
    std::size_t max_response_bytes = 1024 * 1024;  ///< A longer answer counts as none; see `too_long`.
};

/// Keeps connections open and uses them again; verifies certificates against the system's authorities;
/// follows no redirects. Thread safe.
class Client {
public:
    explicit Client(ClientOptions options = {});
    /// What is in flight fails first.
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Returns at once.
    void send(ClientRequest request, ClientDone done);

private:
    class Loop;
    std::unique_ptr<Loop> loop_;
};

}  // namespace quittance::http
