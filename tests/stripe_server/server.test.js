// Stripe's own client finds in the server what it expects of Stripe. Run by `node --test`, after `make setup`.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const {after, before, beforeEach, test} = require('node:test');

const Stripe = require('../../build/npm/node_modules/stripe');

const {Server} = require('./server');

const SECRET = 'whsec_of_the_test';
let server;
let port;
let stripe;

before(async () => {
    server = new Server({key: 'sk_test_server', webhookSecret: SECRET});
    port = await server.listen();
    stripe = client('sk_test_server');
});
after(() => server.close());
beforeEach(() => {
    server.faults.set({});
    server.webhooks.set({});
});

function client(key, maxNetworkRetries = 0) {
    return new Stripe(key, {host: '127.0.0.1', port, protocol: 'http', maxNetworkRetries, telemetry: false});
}

function charge(more = {}, ...options) {
    return stripe.paymentIntents.create({
        amount: 1250, currency: 'eur', payment_method: 'pm_card_visa', confirm: true, error_on_requires_action: true,
        automatic_payment_methods: {enabled: true, allow_redirects: 'never'}, metadata: {order_id: 'one'}, ...more,
    }, ...options);
}

async function refusalOf(promise) {
    try {
        await promise;
    } catch (error) {
        assert.ok(error instanceof Stripe.errors.StripeError, String(error));
        return error;
    }
    assert.fail('it was not refused');
}

test('a refund may fail after it succeeded, and its money is there to be refunded again', async () => {
    const intent = await charge({metadata: {order_id: 'sent back'}});
    const refund = await stripe.refunds.create({payment_intent: intent.id});
    server.books.failRefund(refund.id);
    const failed = await stripe.refunds.retrieve(refund.id);
    assert.deepEqual([failed.status, failed.failure_reason], ['failed', 'lost_or_stolen_card']);
    assert.equal(server.books.perOrder()['sent back'].refunded, 0);
    assert.equal((await stripe.refunds.create({payment_intent: intent.id})).amount, 1250);
});

test('a good card is charged and refunded in parts', async () => {
    const intent = await charge({metadata: {order_id: 'refunded'}});
    assert.equal(intent.status, 'succeeded');
    assert.equal(intent.amount_received, 1250);
    const refund = await stripe.refunds.create({payment_intent: intent.id, amount: 400, reason: 'requested_by_customer'});
    assert.equal((await stripe.refunds.retrieve(refund.id)).amount, 400);
    await stripe.refunds.create({payment_intent: intent.id, amount: 850});
    const again = await refusalOf(stripe.refunds.create({payment_intent: intent.id, amount: 1}));
    assert.equal(again.code, 'charge_already_refunded');
    assert.equal((await stripe.refunds.list({payment_intent: intent.id})).data.length, 2);
    const seen = await stripe.paymentIntents.retrieve(intent.id, {expand: ['latest_charge']});
    assert.equal(seen.latest_charge.amount_refunded, 1250);
    assert.deepEqual(server.books.perOrder().refunded,
                     {intents: 1, captures: 1, captured: 1250, refunds: 2, refunded: 1250, held: 0});
});

test('more than was captured is not refunded', async () => {
    const intent = await charge();
    assert.equal((await refusalOf(stripe.refunds.create({payment_intent: intent.id, amount: 1251}))).statusCode, 400);
});

for (const [method, code, decline] of [
    ['pm_card_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['pm_card_chargeDeclinedStolenCard', 'card_declined', 'stolen_card'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc', 'incorrect_cvc'],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error', 'processing_error'],
    ['pm_card_authenticationRequired', 'authentication_required', 'authentication_required'],
]) {
    test(`${method} is declined as Stripe does`, async () => {
        const error = await refusalOf(charge({payment_method: method}));
        assert.ok(error instanceof Stripe.errors.StripeCardError);
        assert.equal(error.code, code);
        assert.equal(error.decline_code, decline);
        assert.equal(error.payment_intent.status, 'requires_payment_method');
    });
}

test('an authentication is asked for where that is no error', async () => {
    const intent = await charge({payment_method: 'pm_card_authenticationRequired', error_on_requires_action: false});
    assert.equal(intent.status, 'requires_action');
    assert.equal((await stripe.paymentIntents.cancel(intent.id)).status, 'canceled');
});

test('a confirmation may come later, and with another card after a decline', async () => {
    const intent = await charge({confirm: false, error_on_requires_action: undefined});
    assert.equal(intent.status, 'requires_confirmation');
    await refusalOf(stripe.paymentIntents.confirm(intent.id, {payment_method: 'pm_card_chargeDeclined'}));
    assert.equal((await stripe.paymentIntents.confirm(intent.id, {payment_method: 'pm_card_visa'})).status, 'succeeded');
    assert.equal((await refusalOf(stripe.paymentIntents.confirm(intent.id))).code, 'payment_intent_unexpected_state');
});

test('an authorization is captured in part, once', async () => {
    const intent = await charge({capture_method: 'manual'});
    assert.equal(intent.status, 'requires_capture');
    assert.equal(intent.amount_capturable, 1250);
    assert.equal((await refusalOf(stripe.paymentIntents.capture(intent.id, {amount_to_capture: 1251}))).statusCode, 400);
    const captured = await stripe.paymentIntents.capture(intent.id, {amount_to_capture: 800});
    assert.equal(captured.amount_received, 800);
    assert.equal((await refusalOf(stripe.paymentIntents.capture(intent.id))).code, 'payment_intent_unexpected_state');
    assert.equal((await refusalOf(stripe.paymentIntents.cancel(intent.id))).payment_intent.status, 'succeeded');
});

test('a declined payment stays open for the customer until it is canceled', async () => {
    const declined = async () => (await refusalOf(charge({payment_method: 'pm_card_chargeDeclined'}))).payment_intent.id;
    const confirmed = await declined();
    server.books.customerConfirms(confirmed);
    assert.equal((await stripe.paymentIntents.retrieve(confirmed)).amount_received, 1250);
    const canceled = await declined();
    const closed = await stripe.paymentIntents.cancel(canceled, {expand: ['latest_charge']});
    assert.deepEqual([closed.status, closed.last_payment_error.code], ['canceled', 'card_declined']);
    assert.throws(() => server.books.customerConfirms(canceled), /status of canceled/);
    const waiting = await charge({payment_method: 'pm_card_authenticationRequired', error_on_requires_action: false});
    server.books.customerConfirms(waiting.id);
    assert.equal((await stripe.paymentIntents.retrieve(waiting.id)).status, 'succeeded');
});

test('objects within objects are shown when they are asked for', async () => {
    const {id} = await charge();
    const first = await stripe.refunds.create({payment_intent: id, amount: 250, expand: ['charge']});
    assert.equal(first.charge.amount_refunded, 250);
    assert.equal(typeof (await stripe.refunds.create({payment_intent: id, amount: 50})).charge, 'string');
    assert.equal((await stripe.paymentIntents.retrieve(id, {expand: ['latest_charge']})).latest_charge.amount_refunded, 300);
    const held = await charge({capture_method: 'manual', expand: ['latest_charge']});
    assert.equal(held.latest_charge.captured, false);
    const taken = await stripe.paymentIntents.capture(held.id, {expand: ['latest_charge']});
    assert.equal(taken.latest_charge.amount_captured, 1250);
});

test('refunds are listed in pages', async () => {
    const {id} = await charge();
    const made = [];
    for (let count = 0; count < 3; ++count) {
        made.unshift((await stripe.refunds.create({payment_intent: id, amount: 1})).id);
    }
    const listed = [];
    for await (const refund of stripe.refunds.list({payment_intent: id, limit: 2})) listed.push(refund.id);
    assert.deepEqual(listed, made);
});

test('one endpoint may be forbidden to a key while the others answer', async () => {
    server.forbidden = {'GET v1/payment_intents/search': 403, 'POST v1/refunds': 401};
    const error = await refusalOf(stripe.paymentIntents.search({query: "metadata['payment_id']:'any'"}));
    assert.ok(error instanceof Stripe.errors.StripePermissionError);
    const {id} = await charge();
    assert.ok(await refusalOf(stripe.refunds.create({payment_intent: id})) instanceof
              Stripe.errors.StripeAuthenticationError);
    server.forbidden = {};
    assert.equal((await stripe.refunds.create({payment_intent: id})).status, 'succeeded');
});

test('lists are cut in pages, newest first, and by the time', async () => {
    const made = [];
    for (let count = 0; count < 5; ++count) made.unshift((await charge({metadata: {order_id: 'listed'}})).id);
    const since = {created: {gte: Math.floor(Date.now() / 1000) - 60}};
    const listed = [];
    for await (const intent of stripe.paymentIntents.list({limit: 2, ...since})) {
        if (intent.metadata.order_id === 'listed') listed.push(intent.id);
    }
    assert.deepEqual(listed, made);
    assert.equal((await stripe.paymentIntents.list({created: {gt: Math.floor(Date.now() / 1000) + 60}})).data.length, 0);
});

test('a list shows charges when it is asked to', async () => {
    const {id} = await charge({metadata: {order_id: 'expanded'}});
    await stripe.refunds.create({payment_intent: id, amount: 250});
    const listed = async options => (await stripe.paymentIntents.list(options)).data.find(intent => intent.id === id);
    assert.equal((await listed({expand: ['data.latest_charge']})).latest_charge.amount_refunded, 250);
    assert.equal(typeof (await listed({})).latest_charge, 'string');
});

test('a search finds by metadata, but not what is new', async () => {
    const intent = await charge({metadata: {payment_id: 'sought'}});
    const query = "metadata['payment_id']:'sought'";
    assert.equal((await stripe.paymentIntents.search({query})).data.length, 0);
    server.searchLagMs = 0;
    assert.equal((await stripe.paymentIntents.search({query})).data[0].id, intent.id);
});

test('amounts with three decimals end in 0', async () => {
    assert.equal((await refusalOf(charge({currency: 'jod', amount: 5124}))).param, 'amount');
    assert.equal((await charge({currency: 'jod', amount: 5120})).status, 'succeeded');
});

test('a wrong key, an unknown object and an unknown method are refused', async () => {
    assert.ok(await refusalOf(client('sk_test_wrong').paymentIntents.list()) instanceof
              Stripe.errors.StripeAuthenticationError);
    assert.equal((await refusalOf(stripe.paymentIntents.retrieve('pi_none'))).code, 'resource_missing');
    assert.equal((await refusalOf(charge({payment_method: 'pm_none'}))).code, 'resource_missing');
});

test('the same key gives the first result, and other parameters an error', async () => {
    const first = await charge({}, {idempotencyKey: 'once'});
    assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
    const second = await charge({}, {idempotencyKey: 'once'});
    assert.equal(second.id, first.id);
    assert.equal(second.lastResponse.headers['idempotent-replayed'], 'true');
    assert.ok(await refusalOf(charge({amount: 7}, {idempotencyKey: 'once'})) instanceof
              Stripe.errors.StripeIdempotencyError);
    const declined = {payment_method: 'pm_card_chargeDeclined'};
    const intent = (await refusalOf(charge(declined, {idempotencyKey: 'declined'}))).payment_intent.id;
    assert.equal((await refusalOf(charge(declined, {idempotencyKey: 'declined'}))).payment_intent.id, intent);
});

test('a key in use is a conflict', async () => {
    server.faults.set({delayMs: [200, 200]});
    const slow = charge({}, {idempotencyKey: 'slow'});
    await new Promise(resolve => setTimeout(resolve, 50));
    const error = await refusalOf(charge({}, {idempotencyKey: 'slow'}));
    assert.equal(error.statusCode, 409);
    assert.equal(error.code, 'idempotency_key_in_use');
    assert.equal((await slow).status, 'succeeded');
});

test('a lost answer was done, and the client gets it by repeating', async () => {
    server.faults.plan(['lost_response']);
    const intent = await client('sk_test_server', 2).paymentIntents.create(
        {amount: 5, currency: 'eur', payment_method: 'pm_card_visa', confirm: true, metadata: {order_id: 'lost'}});
    assert.equal(intent.status, 'succeeded');
    assert.equal(server.books.perOrder().lost.captures, 1);
});

test('an error 500 is remembered, before the deed and after it', async () => {
    for (const [fault, captures] of [['error_before', 0], ['error_after', 1]]) {
        server.faults.plan([fault]);
        const options = {idempotencyKey: `key-${fault}`};
        const ask = () => charge({metadata: {order_id: `order-${fault}`}}, options);
        assert.equal((await refusalOf(ask())).statusCode, 500);
        const again = await refusalOf(ask());
        assert.equal(again.statusCode, 500);
        assert.equal(again.headers['idempotent-replayed'], 'true');
        assert.equal(server.books.perOrder()[`order-${fault}`]?.captures ?? 0, captures);
    }
});

test('a 429 does nothing: a lock says that it may be asked again, and the client does', async () => {
    server.faults.plan(['rate_limited', 'locked']);
    const options = {idempotencyKey: 'limited'};
    assert.ok(await refusalOf(charge({metadata: {order_id: 'limited'}}, options)) instanceof
              Stripe.errors.StripeRateLimitError);
    const intent = await client('sk_test_server', 2).paymentIntents.create(
        {amount: 5, currency: 'eur', payment_method: 'pm_card_visa', confirm: true, metadata: {order_id: 'limited'}},
        options);
    assert.equal(intent.status, 'succeeded');
    assert.equal(server.books.perOrder().limited.captures, 1);
});

test('faults by chance meet reads too, unless they are spared; planned ones do not', async () => {
    const {id} = await charge();
    server.faults.plan(['error_before']);
    await stripe.paymentIntents.retrieve(id);
    assert.ok(await refusalOf(charge()) instanceof Stripe.errors.StripeAPIError);
    const failures = {lost_response: 'StripeConnectionError', rate_limited: 'StripeRateLimitError',
                      error_after: 'StripeAPIError'};
    for (const [fault, error] of Object.entries(failures)) {
        server.faults.set({[fault]: 1});
        for (const read of [() => stripe.paymentIntents.retrieve(id), () => stripe.paymentIntents.list(),
                            () => stripe.refunds.list({payment_intent: id})]) {
            assert.equal((await refusalOf(read())).type, error);
        }
        server.faults.set({[fault]: 1, sparesReads: true});
        await stripe.paymentIntents.retrieve(id);
    }
});

test('the same seed makes the same faults', () => {
    const sequence = () => {
        server.faults.set({seed: 7, lost_response: 0.2, rate_limited: 0.1, error_after: 0.1});
        return Array.from({length: 200}, () => server.faults.next());
    };
    const first = sequence();
    assert.deepEqual(sequence(), first);
    for (const kind of ['lost_response', 'rate_limited', 'error_after', null]) assert.ok(first.includes(kind));
});

test("events are signed so that Stripe's client believes them, come twice and in disorder", async () => {
    const received = [];
    const hook = http.createServer((request, response) => {
        let body = '';
        request.on('data', part => (body += part)).on('end', () => {
            received.push(stripe.webhooks.constructEvent(body, request.headers['stripe-signature'], SECRET));
            response.end();
        });
    });
    await new Promise(resolve => hook.listen(0, '127.0.0.1', resolve));
    server.webhooks.set({url: `http://127.0.0.1:${hook.address().port}/`, seed: 3, duplicates: 1, delayMs: [0, 60]});
    const intents = [];
    for (let count = 0; count < 4; ++count) intents.push((await charge()).id);
    const wanted = 4 * 3 * 2;
    for (let waited = 0; waited < 5000 && received.length < wanted; waited += 10) {
        await new Promise(resolve => setTimeout(resolve, 10));
    }
    hook.closeAllConnections();
    hook.close();
    assert.equal(received.length, wanted);
    assert.equal(new Set(received.map(event => event.id)).size, wanted / 2);
    const succeeded = received.filter(event => event.type === 'payment_intent.succeeded').map(event => event.data.object.id);
    assert.deepEqual(new Set(succeeded), new Set(intents));
    assert.notDeepEqual([...new Set(succeeded)], intents, 'delays of various lengths shuffle them');
});
