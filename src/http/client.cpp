#include "http/client.hpp"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>

#include <curl/curl.h>

#include "core/error.hpp"
#include "core/thread_name.hpp"

namespace quittance::http {

namespace {

/// `curl_multi_poll` is woken for every new request; this only bounds a missed wake-up.
constexpr int longest_poll_ms = 1000;

struct FreeEasy {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeMulti {
    void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;
using Multi = std::unique_ptr<CURLM, FreeMulti>;
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void initialize_once() {
    static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (initialized != CURLE_OK) throw std::runtime_error("libcurl cannot be initialized");
}

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
    if (curl_easy_setopt(handle, option, value) != CURLE_OK) {
        throw std::logic_error("libcurl refuses option " + std::to_string(option));
    }
}

void add_header(HeaderList& list, const std::string& line) {
    ensure(line.find_first_of("\r\n") == std::string::npos, "a header field is one line");
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
}

std::string_view trimmed(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_space(text.back()))
        text.remove_suffix(1);
    return text;
}

/// One request on its way.
struct Call {
    Easy easy;
    ClientRequest request;
    HeaderList headers;
    ClientDone done;
    ClientResponse response;
    std::size_t max_response_bytes = 0;
    bool too_long = false;
    int times_sent = 0;
    char reason[CURL_ERROR_SIZE] = {};
};

std::size_t take_body(char* bytes, std::size_t /*always_1*/, std::size_t count, void* data) {
    auto& call = *static_cast<Call*>(data);
    if (call.response.body.size() + count > call.max_response_bytes) {
        call.too_long = true;
        return 0;
    }
    call.response.body.append(bytes, count);
    return count;
}

std::size_t take_header(char* bytes, std::size_t /*always_1*/, std::size_t count, void* data) {
    auto& call = *static_cast<Call*>(data);
    const std::string_view line(bytes, count);
    // What came before belongs to an interim answer (100 Continue).
    if (line.starts_with("HTTP/")) call.response.headers.clear();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return count;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    call.response.headers.emplace_back(std::move(name), trimmed(line.substr(colon + 1)));
    return count;
}

/// libcurl sends a request again by itself when a connection that it kept turns out to be closed.
int count_sending(void* data, char* /*peer*/, char* /*own*/, int /*peer_port*/, int /*own_port*/) {
    static_cast<Call*>(data)->times_sent += 1;
    return CURL_PREREQFUNC_OK;
}

std::unique_ptr<Call> prepare(ClientRequest request, ClientDone done, const ClientOptions& options) {
    auto call = std::make_unique<Call>();
    call->easy.reset(curl_easy_init());
    if (!call->easy) throw std::bad_alloc();
    call->request = std::move(request);
    call->done = std::move(done);
    call->max_response_bytes =
        call->request.max_response_bytes > 0 ? call->request.max_response_bytes : options.max_response_bytes;

    for (const auto& [name, value] : call->request.headers) {
        std::string line = name;
        line.append(": ").append(value);
        add_header(call->headers, line);
    }
    // Without this, libcurl waits a second for "100 Continue" before it sends a long body.
    add_header(call->headers, "Expect:");
    CURL* easy = call->easy.get();
    const std::string method(to_string(call->request.method));
    set(easy, CURLOPT_URL, call->request.url.c_str());
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
    if (call->request.method == Method::head) set(easy, CURLOPT_NOBODY, 1L);
    if (call->request.method == Method::post || !call->request.body.empty()) {
        set(easy, CURLOPT_POSTFIELDS, call->request.body.c_str());
        set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call->request.body.size()));
    }
    if (!call->request.bearer_token.empty()) {
        set(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        set(easy, CURLOPT_XOAUTH2_BEARER, call->request.bearer_token.reveal().c_str());
    }
    set(easy, CURLOPT_HTTPHEADER, call->headers.get());
    set(easy, CURLOPT_USERAGENT, "quittance");
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
    set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(call->request.timeout.count()));
    set(easy, CURLOPT_ERRORBUFFER, &call->reason[0]);
    set(easy, CURLOPT_WRITEFUNCTION, &take_body);
    set(easy, CURLOPT_WRITEDATA, call.get());
    set(easy, CURLOPT_HEADERFUNCTION, &take_header);
    set(easy, CURLOPT_HEADERDATA, call.get());
    set(easy, CURLOPT_PREREQFUNCTION, &count_sending);
    set(easy, CURLOPT_PREREQDATA, call.get());
    return call;
}

ClientOutcome outcome_of(Call& call, CURLcode code) {
    ClientOutcome outcome{.may_have_arrived = true, .sent_again = call.times_sent > 1};
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(call.easy.get(), CURLINFO_RESPONSE_CODE, &status);
        call.response.status = static_cast<int>(status);
        outcome.response = std::move(call.response);
        return outcome;
    }
    outcome.too_long = call.too_long;
    if (call.too_long) {
        outcome.failure = "the answer is too long";
        return outcome;
    }
    long sent_bytes = 0;
    curl_easy_getinfo(call.easy.get(), CURLINFO_REQUEST_SIZE, &sent_bytes);
    outcome.failure = call.reason[0] != '\0' ? &call.reason[0] : curl_easy_strerror(code);
    outcome.may_have_arrived = sent_bytes > 0;
    return outcome;
}

}  // namespace

std::string_view ClientResponse::header(std::string_view lower_case_name) const {
    const auto found = std::ranges::find(headers, lower_case_name, &HeaderField::first);
    return found == headers.end() ? std::string_view() : found->second;
}

/// The thread that owns libcurl's handles, and what is handed to it under the mutex.
class Client::Loop {
public:
    explicit Loop(ClientOptions options) : options_(options) {
        initialize_once();
        multi_.reset(curl_multi_init());
        if (!multi_) throw std::bad_alloc();
        curl_multi_setopt(multi_.get(), CURLMOPT_MAX_HOST_CONNECTIONS, options_.max_connections_per_host);
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }

    ~Loop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        thread_.request_stop();
        curl_multi_wakeup(multi_.get());
    }

    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void send(ClientRequest request, ClientDone done) {
        auto call = prepare(std::move(request), std::move(done), options_);
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) {
                refused_.push_back({std::move(call->done), "the program is stopping"});
            } else if (in_flight_ == options_.max_in_flight) {
                refused_.push_back({std::move(call->done), "too many requests are in flight"});
            } else {
                ++in_flight_;
                waiting_.push_back(std::move(call));
            }
        }
        curl_multi_wakeup(multi_.get());
    }

private:
    struct Refused {
        ClientDone done;
        std::string reason;
    };

    void run(const std::stop_token& stop) {
        name_this_thread("q-http-client");
        while (!stop.stop_requested()) {
            start_waiting();
            int running = 0;
            curl_multi_perform(multi_.get(), &running);
            finish_done();
            curl_multi_poll(multi_.get(), nullptr, 0, longest_poll_ms, nullptr);
        }
        // A callback may send again, and has to hear that this fails.
        while (start_waiting() || !calls_.empty()) {
            while (!calls_.empty())
                finish(calls_.begin()->first, CURLE_ABORTED_BY_CALLBACK);
        }
    }

    /// False when there was nothing to do.
    bool start_waiting() {
        std::vector<std::unique_ptr<Call>> starting;
        std::vector<Refused> refused;
        {
            const std::lock_guard lock(mutex_);
            starting.swap(waiting_);
            refused.swap(refused_);
        }
        for (Refused& one : refused)
            std::move(one.done)({std::nullopt, std::move(one.reason), false});
        for (auto& call : starting) {
            CURL* easy = call->easy.get();
            calls_.emplace(easy, std::move(call));
            if (curl_multi_add_handle(multi_.get(), easy) != CURLM_OK) finish(easy, CURLE_FAILED_INIT);
        }
        return !starting.empty() || !refused.empty();
    }

    void finish_done() {
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
            if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
        }
    }

    void finish(CURL* easy, CURLcode code) {
        const auto found = calls_.find(easy);
        const std::unique_ptr<Call> call = std::move(found->second);
        calls_.erase(found);
        ClientOutcome outcome = outcome_of(*call, code);
        curl_multi_remove_handle(multi_.get(), easy);
        {
            const std::lock_guard lock(mutex_);
            --in_flight_;
        }
        std::move(call->done)(std::move(outcome));
    }

    const ClientOptions options_;
    Multi multi_;
    std::unordered_map<CURL*, std::unique_ptr<Call>> calls_;  ///< The thread's own.
    std::mutex mutex_;
    std::vector<std::unique_ptr<Call>> waiting_;
    std::vector<Refused> refused_;
    std::size_t in_flight_ = 0;
    bool stopping_ = false;
    // Last: it uses everything above.
    std::jthread thread_;
};

Client::Client(ClientOptions options) : loop_(std::make_unique<Loop>(options)) {}

Client::~Client() = default;

void Client::send(ClientRequest request, ClientDone done) {
    loop_->send(std::move(request), std::move(done));
}

}  // namespace quittance::http
