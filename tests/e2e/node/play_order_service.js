// Google's own client in the place of an order service: publishes quittance.order.created.v1 with the data
// that it is given, and prints the first update of that order, as a JSON line.
const {PubSub} = require('@google-cloud/pubsub');
const {randomUUID} = require('crypto');

async function main() {
    const order = JSON.parse(process.argv[2]);
    const pubsub = new PubSub();
    const updates = pubsub.subscription('order-service-sub');
    updates.on('error', error => {
        console.error(error);
        process.exit(1);
    });
    updates.on('message', message => {
        message.ack();
        if (message.orderingKey !== order.orderId) return;
        console.log(JSON.stringify({
            attributes: message.attributes, orderingKey: message.orderingKey, data: message.data.toString()}));
        updates.close().then(() => pubsub.close()).then(() => process.exit(0));
    });
    await pubsub.topic('payment-events', {messageOrdering: true}).publishMessage({
        json: order,
        orderingKey: order.orderId,
        attributes: {
            'ce-id': randomUUID(), 'ce-source': 'another-order-service',
            'ce-type': 'quittance.order.created.v1', 'ce-specversion': '1.0',
            'ce-time': new Date().toISOString(), 'content-type': 'application/json'}});
}

main();
