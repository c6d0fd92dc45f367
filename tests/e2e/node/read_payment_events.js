// Google's own client: makes a subscription of its own on payment-events, prints "ready" and then the first
// message that comes, as JSON lines.
const {PubSub} = require('@google-cloud/pubsub');

async function main() {
    const pubsub = new PubSub();
    const [subscription] = await pubsub.topic('payment-events').createSubscription(
        'an-onlooker', {enableMessageOrdering: true});
    subscription.on('error', error => {
        console.error(error);
        process.exit(1);
    });
    subscription.on('message', message => {
        console.log(JSON.stringify({
            attributes: message.attributes, orderingKey: message.orderingKey, data: message.data.toString()}));
        message.ack();
        subscription.close().then(() => pubsub.close()).then(() => process.exit(0));
    });
    console.log(JSON.stringify('ready'));
}

main();
