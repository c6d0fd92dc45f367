// Google's own client: makes a subscription of its own on each of our topics, prints "ready" and then every
// message that comes, as JSON lines, until it is ended.
const {PubSub} = require('@google-cloud/pubsub');

async function main() {
    const pubsub = new PubSub();
    for (const topic of ['payment-events', 'order-updates']) {
        const [subscription] = await pubsub.topic(topic).createSubscription(
            `${topic}-onlooker`, {enableMessageOrdering: true});
        subscription.on('error', error => {
            console.error(error);
            process.exit(1);
        });
        subscription.on('message', message => {
            console.log(JSON.stringify({
                topic, messageId: message.id, id: message.attributes['ce-id'],
                type: message.attributes['ce-type'], key: message.orderingKey,
                data: JSON.parse(message.data.toString())}));
            message.ack();
        });
    }
    console.log(JSON.stringify('ready'));
}

main();
