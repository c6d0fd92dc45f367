// Google's own client in the place of a payment service: publishes the data that it is given to order-updates.
const {PubSub} = require('@google-cloud/pubsub');

async function main() {
    const [, , id, type, data] = process.argv;
    const pubsub = new PubSub();
    const topic = pubsub.topic('order-updates', {messageOrdering: true});
    await topic.publishMessage({
        data: Buffer.from(data),
        orderingKey: JSON.parse(data).orderId ?? '',
        attributes: {
            'ce-id': id, 'ce-source': 'another-payment-service', 'ce-type': type, 'ce-specversion': '1.0',
            'ce-time': new Date().toISOString(), 'content-type': 'application/json'}});
    await pubsub.close();
}

main();
