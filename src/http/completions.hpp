// How answers of other threads come back to an I/O thread: many at a time.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace quittance::http {

/// What goes on when an answer has come.
class Completion {
public:
    Completion() = default;
    Completion(const Completion&) = delete;
    Completion& operator=(const Completion&) = delete;
    virtual ~Completion() = default;

    virtual void run() = 0;
};

/// Part of an io_context that one thread runs. A batch of the database completes many requests at once;
/// posted one by one, each would take the io_context's lock and most would wake its thread.
class Completions final : public boost::asio::execution_context::service {
public:
    using key_type = Completions;
    inline static boost::asio::execution_context::id id;

    explicit Completions(boost::asio::execution_context& context)
        : service(context), context_(static_cast<boost::asio::io_context&>(context)) {}

    /// From any thread: runs `completion` soon, on the io_context's thread.
    void add(std::unique_ptr<Completion> completion) {
        {
            const std::lock_guard lock(mutex_);
            waiting_.push_back(std::move(completion));
            if (waiting_.size() > 1) return;
        }
        boost::asio::post(context_, [this] { run(); });
    }

private:
    void run() {
        std::vector<std::unique_ptr<Completion>> due;
        {
            const std::lock_guard lock(mutex_);
            due.swap(waiting_);
        }
        for (auto& completion : due)
            completion->run();
    }

    void shutdown() override {
        std::vector<std::unique_ptr<Completion>> dropped;
        const std::lock_guard lock(mutex_);
        dropped.swap(waiting_);
    }

    boost::asio::io_context& context_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Completion>> waiting_;
};

}  // namespace quittance::http
