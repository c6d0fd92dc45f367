// How answers of other threads come back to an I/O thread: many at a time.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace quittance::http {

/// Part of an io_context that one thread runs. A batch of the database completes many requests at once;
/// posted one by one, each would take the io_context's lock and most would wake its thread.
class Completions final : public boost::asio::execution_context::service {
public:
    using key_type = Completions;
    inline static boost::asio::execution_context::id id;

    explicit Completions(boost::asio::execution_context& context)
        : service(context), context_(static_cast<boost::asio::io_context&>(context)) {}

    /// From any thread: runs `completion` soon, on the io_context's thread.
    void add(absl::AnyInvocable<void()> completion) {
        {
            const std::lock_guard lock(mutex_);
            waiting_.push_back(std::move(completion));
            if (waiting_.size() > 1) return;
        }
        boost::asio::post(context_, [this] { run(); });
    }

private:
    void run() {
        std::vector<absl::AnyInvocable<void()>> due;
        {
            const std::lock_guard lock(mutex_);
            due.swap(waiting_);
        }
        for (auto& completion : due)
            completion();
    }

    void shutdown() override {
        std::vector<absl::AnyInvocable<void()>> dropped;
        const std::lock_guard lock(mutex_);
        dropped.swap(waiting_);
    }

    boost::asio::io_context& context_;
    std::mutex mutex_;
    std::vector<absl::AnyInvocable<void()>> waiting_;
};

}  // namespace quittance::http
