// What can go wrong. Expected outcomes are values (`Result<T>`); failures of the machine are exceptions.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace quittance {

/// Every expected failure that a caller can meet. `http/problem` maps each to one HTTP status.
enum class ErrorCode {
    malformed,            ///< The text cannot be read at all (not JSON, not UTF-8, a bad cursor).
    invalid,              ///< Readable, but breaks a rule; `Error::faults` says where.
    unauthenticated,      ///< No token, or one that cannot be trusted.
    forbidden,            ///< Known, but not allowed.
    not_found,            ///< Not there, or not the caller's to see.
    conflict,             ///< The present state does not allow it.
    precondition_failed,  ///< `If-Match` names another version.
    rate_limited,         ///< This caller must wait.
    overloaded,           ///< A bounded queue is full; try again shortly.
    unavailable,          ///< Something we depend on cannot be reached; try again shortly.
    internal,             ///< A bug of ours; the log has the story.
    given_up,             ///< Failed alone for too long while others succeeded; only in batch queues.
};

/// One broken rule: where (RFC 6901 JSON pointer into the body) and what.
struct Fault {
    std::string pointer;
    std::string detail;

    bool operator==(const Fault&) const = default;
};

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string detail;         ///< For the caller to read; never holds a secret or SQL text.
    std::vector<Fault> faults;  ///< For `invalid` only.
    int retry_after_s = 0;      ///< For `rate_limited`, `overloaded`, `unavailable`; 0 means unspecified.
};

/// A value or the reason why there is none. Not thread safe, like any value.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool ok() const { return content_.index() == 0; }
    explicit operator bool() const { return ok(); }

    [[nodiscard]] T& value() & { return std::get<0>(content_); }
    [[nodiscard]] const T& value() const& { return std::get<0>(content_); }
    [[nodiscard]] T&& value() && { return std::get<0>(std::move(content_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    [[nodiscard]] Error& error() & { return std::get<1>(content_); }
    [[nodiscard]] const Error& error() const& { return std::get<1>(content_); }
    [[nodiscard]] Error&& error() && { return std::get<1>(std::move(content_)); }

private:
    std::variant<T, Error> content_;
};

/// The value of a `Result` that carries none.
struct Done {};

/// The store cannot be reached, does not take this at present, or the outcome of a commit is not known: every
/// failure that is not known to be the data's. Trying again later may work.
class StorageUnavailable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The connection is lost or cannot be made. A statement outside of a transaction may be repeated at once on
/// a new connection.
class StorageConnectionLost : public StorageUnavailable {
    using StorageUnavailable::StorageUnavailable;
};

/// The store can be read and takes no writes: a replica after a failover, a file system that turned
/// read-only.
class StorageReadOnly : public StorageUnavailable {
    using StorageUnavailable::StorageUnavailable;
};

/// The store has a limit (packet, statement, memory, locks) that this exceeds. Less at a time may work at
/// once.
class StorageLimitExceeded : public StorageUnavailable {
    using StorageUnavailable::StorageUnavailable;
};

/// The store gave up because of others (deadlock, serialization, lock time-out). Trying again at once may
/// work.
class StorageConflict : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The store refused the data: a value, a duplicate, a broken constraint. The same again will fail again.
class StorageRejected : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A program was set up wrongly: the message says what is missing and how to mend it.
class ConfigurationError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws std::logic_error when an invariant does not hold; in release builds too.
inline void ensure(bool holds, std::string_view what) {
    if (!holds) throw std::logic_error("invariant broken: " + std::string(what));
}

}  // namespace quittance
