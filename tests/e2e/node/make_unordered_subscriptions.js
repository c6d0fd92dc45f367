// Google's own client: makes the subscriptions of our services anew, without the order of keys.
const {PubSub} = require('@google-cloud/pubsub');

async function main() {
    const pubsub = new PubSub();
    for (const [topic, name] of [['payment-events', 'payment-service-sub'],
                                 ['order-updates', 'order-service-sub']]) {
        await pubsub.subscription(name).delete();
        await pubsub.topic(topic).createSubscription(name, {ackDeadlineSeconds: 10});
    }
}

main();
