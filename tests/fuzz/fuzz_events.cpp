// An event that is accepted says the same after it was written again, and a refusal fits a dead letter.
#include <boost/json.hpp>

#include "contracts/events.hpp"
#include "core/utf8.hpp"
#include "tests/fuzz/input.hpp"

namespace quittance::contracts {
namespace {

using fuzz::require;

void require_explained(const Error& error, std::string_view type) {
    require(error.code == ErrorCode::malformed || error.code == ErrorCode::invalid,
            "an event is refused for what is in it");
    require(!error.detail.empty(), "a refusal says why");
    // The type comes from outside, too; that of a message of ours is UTF-8 by Pub/Sub's own rules.
    require(!is_utf8(type) || is_utf8(error.detail), "the reason of a dead letter can be stored");
}

void try_payment_event(std::string_view type, std::string_view data) {
    const auto event = parse_payment_event(type, data);
    if (!event) return require_explained(event.error(), type);
    std::visit(
        [&](const auto& known) {
            require(known.type == type, "an event is of the type that it was sent as");
            const std::string written = to_json(known);
            require(boost::json::parse(written).is_object(), "what we write is JSON");
            const auto again = parse_payment_event(type, written);
            require(again && *again == *event, "an event says the same after it was written again");
        },
        *event);
}

void try_order_update(std::string_view type, std::string_view data) {
    const auto update = parse_order_update(type, data);
    if (!update) return require_explained(update.error(), type);
    const auto again = parse_order_update(type, to_json(*update));
    require(again && *again == *update, "an update says the same after it was written again");
}

}  // namespace
}  // namespace quittance::contracts

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace quittance::contracts;
    quittance::fuzz::Input input(data, size);
    switch (input.choice(6)) {
        case 0: try_payment_event(OrderCreated::type, input.rest()); break;
        case 1: try_payment_event(PaymentRetryRequested::type, input.rest()); break;
        case 2: try_payment_event(OrderCanceled::type, input.rest()); break;
        case 3: try_payment_event(RefundRequested::type, input.rest()); break;
        case 4: try_order_update(PaymentUpdated::type, input.rest()); break;
        default: {
            const std::string_view type = input.line();
            try_payment_event(type, input.rest());
            try_order_update(type, input.rest());
        }
    }
    return 0;
}
