// Stripe's own client: prints the header with which Stripe would send the payload, signed at that second.
'use strict';

const Stripe = require('stripe');

const [payload, secret, timestamp] = process.argv.slice(2);
const stripe = new Stripe('sk_test_unused');
console.log(stripe.webhooks.generateTestHeaderString({payload, secret, timestamp: Number(timestamp)}));
