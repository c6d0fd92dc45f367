// One StreamingPull call.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include <google/pubsub/v1/pubsub.grpc.pb.h>
#include <grpcpp/grpcpp.h>

namespace quittance::messaging {

/// Reads until the call ends or somebody asks it to pause. Make it, `open` it once, and destroy it after
/// `ended` was called. Thread safe.
class PubsubStream final : public grpc::ClientBidiReactor<google::pubsub::v1::StreamingPullRequest,
                                                          google::pubsub::v1::StreamingPullResponse> {
public:
    using Request = google::pubsub::v1::StreamingPullRequest;
    using Response = google::pubsub::v1::StreamingPullResponse;
    /// Called on gRPC's threads, for one response at a time. False: read no further until `resume`.
    using Received = std::function<bool(Response&)>;
    /// Called once, as the last thing.
    using Ended = std::function<void(const grpc::Status&)>;

    PubsubStream(Request first, Received received, Ended ended);

    void open(google::pubsub::v1::Subscriber::Stub& stub);
    /// Sends an empty request: the service ends streams that are silent for long.
    void keep_alive();
    void resume();
    /// Asks the service to end the stream; what arrives until then is still received, whatever `Received`
    /// says.
    void finish();
    void cancel();

    void OnReadDone(bool ok) override;
    void OnWriteDone(bool ok) override;
    void OnDone(const grpc::Status& status) override { ended_(status); }

private:
    void half_close();  ///< Under the mutex.

    const Received received_;
    const Ended ended_;
    grpc::ClientContext context_;
    const Request first_;
    const Request empty_;
    Response response_;

    std::mutex mutex_;
    bool open_ = true;  ///< We hold the call, and may start reads and writes from outside its reactions.
    bool writing_ = true;
    bool paused_ = false;
    bool finishing_ = false;
};

}  // namespace quittance::messaging
