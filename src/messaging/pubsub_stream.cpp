#include "messaging/pubsub_stream.hpp"

#include <utility>

#include "messaging/pubsub_connection.hpp"

namespace quittance::messaging {

namespace {

/// Streams have no deadline of ours: the service ends them now and then by itself.
constexpr std::chrono::hours no_deadline{24 * 365};

}  // namespace

PubsubStream::PubsubStream(Request first, Received received, Ended ended)
    : received_(std::move(received)), ended_(std::move(ended)), first_(std::move(first)) {
    prepare(context_, no_deadline, "subscription", first_.subscription());
}

void PubsubStream::open(google::pubsub::v1::Subscriber::Stub& stub) {
    stub.async()->StreamingPull(&context_, this);
    AddHold();
    StartWrite(&first_);
    StartRead(&response_);
    StartCall();
}

void PubsubStream::keep_alive() {
    const std::lock_guard lock(mutex_);
    if (!open_ || writing_) return;
    writing_ = true;
    StartWrite(&empty_);
}

void PubsubStream::resume() {
    const std::lock_guard lock(mutex_);
    if (!open_ || !paused_) return;
    paused_ = false;
    StartRead(&response_);
}

void PubsubStream::finish() {
    const std::lock_guard lock(mutex_);
    if (!open_ || finishing_) return;
    finishing_ = true;
    if (!writing_) half_close();
    if (paused_) {
        paused_ = false;
        StartRead(&response_);
    }
}

void PubsubStream::half_close() {
    writing_ = true;
    StartWritesDone();
}

void PubsubStream::cancel() {
    context_.TryCancel();
    finish();
}

void PubsubStream::OnReadDone(bool ok) {
    const bool more = ok && received_(response_);
    bool let_go = false;
    {
        const std::lock_guard lock(mutex_);
        if (ok && (more || finishing_)) {
            StartRead(&response_);
        } else if (ok) {
            paused_ = true;
        } else {
            open_ = false;
            let_go = true;
        }
    }
    if (let_go) RemoveHold();
}

void PubsubStream::OnWriteDone(bool ok) {
    // A failed write shows in the read, too.
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (open_ && finishing_ && ok) half_close();
}

}  // namespace quittance::messaging
