// Google's own client in the place of an order service: has an order of the user's paid, first by a card that is
// declined and, once told so, by a good one; prints what it is told about the order until that is paid, an update
// a line.
const {PubSub} = require('@google-cloud/pubsub');
const {randomUUID} = require('crypto');

const [, , orderId, userId, amount] = process.argv;

async function main() {
    const pubsub = new PubSub();
    const requests = pubsub.topic('payment-events', {messageOrdering: true});
    const updates = pubsub.subscription('order-service-sub');
    const fail = error => {
        console.error(error);
        process.exit(1);
    };
    const ask = (type, paymentMethod, attempt) => requests.publishMessage({
        json: {orderId, userId, amount: Number(amount), currency: 'EUR', paymentMethod, attempt},
        orderingKey: orderId,
        attributes: {
            'ce-id': randomUUID(), 'ce-source': 'another-order-service', 'ce-type': type,
            'ce-specversion': '1.0', 'ce-time': new Date().toISOString(), 'content-type': 'application/json'}});
    const told = async message => {
        const update = JSON.parse(message.data.toString());
        console.log(JSON.stringify({
            attributes: message.attributes, orderingKey: message.orderingKey, data: update}));
        if (update.paymentStatus === 'FAILED') {
            await ask('quittance.payment.retry_requested.v1', 'pm_card_visa', 2);
        }
        message.ack();
        if (update.paymentStatus === 'CAPTURED') {
            await updates.close();
            await pubsub.close();
            process.exit(0);
        }
    };
    updates.on('error', fail);
    updates.on('message', message => told(message).catch(fail));
    await ask('quittance.order.created.v1', 'pm_card_chargeDeclined', 1);
}

main();
