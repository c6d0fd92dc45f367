// Google's own client: receives so many messages from a subscription over so many streams and prints how many
// a second. With "create" in place of the number of messages, makes the subscription and ends.
const {PubSub} = require('@google-cloud/pubsub');

const [topic, name, messages, streams] = process.argv.slice(2);

async function main() {
    const pubsub = new PubSub();
    if (messages === 'create') {
        await pubsub.topic(topic).createSubscription(name, {enableMessageOrdering: true, ackDeadlineSeconds: 60});
        return;
    }
    const subscription = pubsub.subscription(name, {
        flowControl: {maxMessages: 4096}, streamingOptions: {maxStreams: Number(streams)}});
    let left = Number(messages);
    const begin = process.hrtime.bigint();
    subscription.on('error', error => {
        console.error(error);
        process.exit(1);
    });
    subscription.on('message', message => {
        message.ack();
        if (--left > 0) return;
        if (left === 0) {
            console.log(Number(messages) / (Number(process.hrtime.bigint() - begin) / 1e9));
            subscription.close().then(() => process.exit(0));
        }
    });
}

main();
