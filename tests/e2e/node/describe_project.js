// Google's own client: prints the topics of the project and its subscriptions with their settings, by name.
const {PubSub} = require('@google-cloud/pubsub');

const shortName = path => path.split('/').pop();

async function main() {
    const pubsub = new PubSub();
    const [topics] = await pubsub.getTopics();
    const [subscriptions] = await pubsub.getSubscriptions();
    const settings = {};
    for (const subscription of subscriptions) {
        const [metadata] = await subscription.getMetadata();
        settings[shortName(subscription.name)] = metadata;
    }
    const names = topics.map(topic => shortName(topic.name)).sort();
    console.log(JSON.stringify({topics: names, subscriptions: settings}));
    await pubsub.close();
}

main();
