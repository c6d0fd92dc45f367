// Google's own client in the place of a payment service: prints "ready", then answers whatever asks for a payment
// until it is ended. Cards named pm_card_chargeDeclined are declined, all others are charged.
const {PubSub} = require('@google-cloud/pubsub');
const {randomUUID} = require('crypto');

const wanted = ['quittance.order.created.v1', 'quittance.payment.retry_requested.v1'];

function outcomeOf(request) {
    const declined = request.paymentMethod === 'pm_card_chargeDeclined';
    return {
        orderId: request.orderId, paymentId: randomUUID(), currency: request.currency, sequence: request.attempt,
        paymentStatus: declined ? 'FAILED' : 'CAPTURED',
        capturedAmount: declined ? 0 : request.amount, refundedAmount: 0,
        ...(declined && {failure: {code: 'another_bank_says_no', detail: 'Another bank declined the card.'}})};
}

async function main() {
    const pubsub = new PubSub();
    const updates = pubsub.topic('order-updates', {messageOrdering: true});
    const requests = pubsub.subscription('payment-service-sub');
    const fail = error => {
        console.error(error);
        process.exit(1);
    };
    const answer = async message => {
        const update = outcomeOf(JSON.parse(message.data.toString()));
        await updates.publishMessage({
            json: update,
            orderingKey: update.orderId,
            attributes: {
                'ce-id': randomUUID(), 'ce-source': 'another-payment-service',
                'ce-type': 'quittance.payment.updated.v1', 'ce-specversion': '1.0',
                'ce-time': new Date().toISOString(), 'content-type': 'application/json'}});
    };
    requests.on('error', fail);
    requests.on('message', message => {
        if (!wanted.includes(message.attributes['ce-type'])) return message.ack();
        answer(message).then(() => message.ack(), fail);
    });
    console.log(JSON.stringify('ready'));
}

main();
