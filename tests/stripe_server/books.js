// What the server holds: payment intents, their charges, refunds; and the counts that tests ask for.
'use strict';

const crypto = require('node:crypto');

const {outcomeOf} = require('./cards');
const {StripeError, invalid, missing} = require('./errors');

const LARGEST_AMOUNT = 99999999;
const THREE_DECIMALS = new Set(['bhd', 'jod', 'kwd', 'omr', 'tnd']);
const CANCELABLE = new Set(['requires_payment_method', 'requires_confirmation', 'requires_action',
                            'requires_capture', 'processing']);
const CONFIRMABLE = new Set(['requires_payment_method', 'requires_confirmation']);

function newId(prefix) {
    return `${prefix}_${crypto.randomBytes(12).toString('hex')}`;
}

function amountOf(text, param) {
    if (text === undefined) throw invalid(`Missing required param: ${param}.`, param, 'parameter_missing');
    if (!/^\d+$/.test(text)) throw invalid(`Invalid integer: ${text}`, param, 'parameter_invalid_integer');
    const amount = Number(text);
    if (amount < 1) throw invalid('This value must be greater than or equal to 1.', param, 'parameter_invalid_integer');
    if (amount > LARGEST_AMOUNT) throw invalid('Amount must be no more than 999,999.99.', param, 'amount_too_large');
    return amount;
}

function truth(text, otherwise) {
    return text === undefined ? otherwise : text === 'true';
}

class Books {
    /// `announce(type, object)` is told of every change that Stripe has an event for.
    constructor(announce) {
        this.announce = announce;
        this.intents = new Map();
        this.charges = new Map();
        this.refunds = new Map();
    }

    createIntent(params) {
        const amount = amountOf(params.amount, 'amount');
        const currency = params.currency;
        if (!currency) throw invalid('Missing required param: currency.', 'currency', 'parameter_missing');
        if (!/^[a-z]{3}$/.test(currency)) throw invalid(`Invalid currency: ${currency}.`, 'currency');
        if (THREE_DECIMALS.has(currency) && amount % 10 !== 0) {
            throw invalid('The last digit of an amount in this currency has to be 0.', 'amount', 'invalid_amount');
        }
        const intent = {
            id: newId('pi'), object: 'payment_intent', amount, amount_capturable: 0, amount_received: 0,
            canceled_at: null, cancellation_reason: null, capture_method: params.capture_method ?? 'automatic',
            client_secret: newId('secret'), created: Math.floor(Date.now() / 1000), currency, last_payment_error: null,
            latest_charge: null, livemode: false, metadata: params.metadata ?? {}, next_action: null,
            payment_method: params.payment_method ?? null, status: 'requires_payment_method',
        };
        if (intent.payment_method) {
            if (outcomeOf(intent.payment_method) === undefined) {
                throw invalid(`No such PaymentMethod: '${intent.payment_method}'`, 'payment_method', 'resource_missing');
            }
            intent.status = 'requires_confirmation';
        }
        this.intents.set(intent.id, intent);
        this.announce('payment_intent.created', intent);
        if (truth(params.confirm, false)) this.#charge(intent, truth(params.error_on_requires_action, false));
        return this.#shown(intent, params);
    }

    confirmIntent(id, params) {
        const intent = this.#intent(id);
        if (!CONFIRMABLE.has(intent.status)) throw this.#unexpected(intent, 'confirm');
        const method = params.payment_method ?? intent.payment_method;
        if (!method || outcomeOf(method) === undefined) {
            throw invalid(`No such PaymentMethod: '${method}'`, 'payment_method', 'resource_missing');
        }
        intent.payment_method = method;
        this.#charge(intent, truth(params.error_on_requires_action, false));
        return this.#shown(intent, params);
    }

    /// For tests: the customer, whose browser has the intent's secret, gives a card or completes what the bank
    /// wanted. Possible for as long as the intent is open.
    customerConfirms(id, method = 'pm_card_visa') {
        const intent = this.#intent(id);
        if (intent.status === 'requires_action') intent.status = 'requires_confirmation';
        return this.confirmIntent(id, {payment_method: method});
    }

    captureIntent(id, params) {
        const intent = this.#intent(id);
        if (intent.status !== 'requires_capture') throw this.#unexpected(intent, 'capture');
        const amount = params.amount_to_capture === undefined
            ? intent.amount : amountOf(params.amount_to_capture, 'amount_to_capture');
        if (amount > intent.amount_capturable) {
            throw invalid('The amount to capture is greater than the amount that can be captured.',
                          'amount_to_capture', 'amount_too_large');
        }
        this.#take(intent, amount);
        return this.#shown(intent, params);
    }

    cancelIntent(id, params = {}) {
        const intent = this.#intent(id);
        if (!CANCELABLE.has(intent.status)) throw this.#unexpected(intent, 'cancel');
        intent.status = 'canceled';
        intent.amount_capturable = 0;
        intent.canceled_at = Math.floor(Date.now() / 1000);
        this.announce('payment_intent.canceled', intent);
        return this.#shown(intent, params);
    }

    retrieveIntent(id, params) {
        return this.#shown(this.#intent(id), params);
    }

    /// Newest first, as all of Stripe's lists.
    listIntents(params) {
        const {gt, gte, lt, lte} = params.created ?? {};
        const kept = [...this.intents.values()].reverse().filter(
            ({created}) => !(created <= gt) && !(created < gte) && !(created >= lt) && !(created > lte));
        return this.#listed(page(kept, params, '/v1/payment_intents'), params);
    }

    /// Only the one query that is of use here, metadata['name']:'value'. What is younger than `lagMs` is not
    /// found: Stripe's index is not consistent with what was just written.
    searchIntents(params, lagMs) {
        const query = (params.query ?? '').match(/^metadata\['([^']+)'\]:'([^']*)'$/);
        if (!query) throw invalid('This server does not understand the query.', 'query');
        const before = Date.now() - lagMs;
        const found = [...this.intents.values()].filter(
            intent => intent.metadata[query[1]] === query[2] && intent.created * 1000 <= before);
        return this.#listed({object: 'search_result', url: '/v1/payment_intents/search', has_more: false,
                             next_page: null, data: found}, params);
    }

    createRefund(params) {
        const intent = this.#intent(params.payment_intent);
        const charge = intent.latest_charge && this.charges.get(intent.latest_charge);
        if (!charge || charge.amount_captured === 0) {
            throw invalid('This PaymentIntent does not have a successful charge to refund.', 'payment_intent');
        }
        const left = charge.amount_captured - charge.amount_refunded;
        if (left === 0) {
            throw invalid(`Charge ${charge.id} has already been refunded.`, undefined, 'charge_already_refunded');
        }
        const amount = params.amount === undefined ? left : amountOf(params.amount, 'amount');
        if (amount > left) {
            throw invalid(`Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`, 'amount');
        }
        const refund = {
            id: newId('re'), object: 'refund', amount, charge: charge.id, created: Math.floor(Date.now() / 1000),
            currency: intent.currency, metadata: params.metadata ?? {}, payment_intent: intent.id,
            reason: params.reason ?? null, status: 'succeeded',
        };
        this.refunds.set(refund.id, refund);
        charge.amount_refunded += amount;
        charge.refunded = charge.amount_refunded === charge.amount_captured;
        this.announce('refund.created', refund);
        this.announce('charge.refunded', charge);
        return expands(params, 'charge') ? {...refund, charge: {...charge}} : refund;
    }

    retrieveRefund(id) {
        const refund = this.refunds.get(id);
        if (!refund) throw missing('refund', id);
        return refund;
    }

    /// For tests: the customer's bank has sent the money back.
    failRefund(id) {
        const refund = this.retrieveRefund(id);
        if (refund.status === 'failed') return refund;
        Object.assign(refund, {status: 'failed', failure_reason: 'lost_or_stolen_card'});
        const charge = this.charges.get(refund.charge);
        charge.amount_refunded -= refund.amount;
        charge.refunded = false;
        this.announce('refund.updated', refund);
        this.announce('refund.failed', refund);
        return refund;
    }

    listRefunds(params) {
        const kept = [...this.refunds.values()].reverse().filter(
            refund => params.payment_intent === undefined || refund.payment_intent === params.payment_intent);
        return page(kept, params, '/v1/refunds');
    }

    /// For tests: what was moved for each order, by metadata.order_id.
    perOrder() {
        const orders = {};
        const of = metadata => (orders[metadata.order_id ?? ''] ??=
            {intents: 0, captures: 0, captured: 0, refunds: 0, refunded: 0, held: 0});
        for (const intent of this.intents.values()) {
            const order = of(intent.metadata);
            order.intents += 1;
            order.held += intent.amount_capturable;
            if (intent.amount_received > 0) order.captures += 1;
            order.captured += intent.amount_received;
        }
        for (const refund of this.refunds.values()) {
            if (refund.status !== 'succeeded') continue;
            const order = of(this.intents.get(refund.payment_intent).metadata);
            order.refunds += 1;
            order.refunded += refund.amount;
        }
        return orders;
    }

    #intent(id) {
        const intent = this.intents.get(id);
        if (!intent) throw missing('payment_intent', id);
        return intent;
    }

    /// For tests: charges of another system in the same account, with so much text in each.
    makeStrangers({count, metadataBytes = 0}) {
        for (let made = 0; made < count; ++made) {
            this.createIntent({amount: '1', currency: 'eur', confirm: 'true', payment_method: 'pm_card_visa',
                               metadata: {note: 'x'.repeat(metadataBytes)}});
        }
        return {};
    }

    /// For tests: the id of the n-th intent of an order, or of its last.
    intentOf(orderId, attempt) {
        const ids = [...this.intents.values()].filter(({metadata}) => metadata.order_id === orderId).map(({id}) => id);
        return attempt === undefined ? ids.at(-1) : ids[attempt - 1];
    }

    #shown(intent, params) {
        return expands(params, 'latest_charge') ? this.#withCharge(intent) : intent;
    }

    #listed(list, params) {
        if (!expands(params, 'data.latest_charge')) return list;
        return {...list, data: list.data.map(intent => this.#withCharge(intent))};
    }

    #withCharge(intent) {
        return intent.latest_charge === null
            ? intent : {...intent, latest_charge: this.charges.get(intent.latest_charge)};
    }

    #unexpected(intent, verb) {
        return new StripeError(400, 'invalid_request_error',
            `You cannot ${verb} this PaymentIntent because it has a status of ${intent.status}.`,
            {code: 'payment_intent_unexpected_state', payment_intent: {...intent}});
    }

    #charge(intent, errorOnAction) {
        const outcome = outcomeOf(intent.payment_method);
        if (outcome === 'authentication' && !errorOnAction) {
            intent.status = 'requires_action';
            intent.next_action = {type: 'use_stripe_sdk'};
            this.announce('payment_intent.requires_action', intent);
            return;
        }
        const charge = {
            id: newId('ch'), object: 'charge', amount: intent.amount, amount_captured: 0, amount_refunded: 0,
            captured: false, created: Math.floor(Date.now() / 1000), currency: intent.currency,
            metadata: intent.metadata, paid: outcome === 'good', payment_intent: intent.id, refunded: false,
            status: outcome === 'good' ? 'succeeded' : 'failed',
        };
        if (outcome !== 'authentication') {
            this.charges.set(charge.id, charge);
            intent.latest_charge = charge.id;
        }
        if (outcome === 'good') return this.#approved(intent);
        const failure = outcome === 'authentication'
            ? {code: 'authentication_required', decline_code: 'authentication_required',
               message: 'Your card was declined. This transaction requires authentication.'}
            : {...outcome, charge: charge.id};
        intent.status = 'requires_payment_method';
        intent.last_payment_error = {type: 'card_error', ...failure};
        this.announce('payment_intent.payment_failed', intent);
        throw new StripeError(402, 'card_error', failure.message, {...failure, payment_intent: {...intent}});
    }

    #approved(intent) {
        intent.last_payment_error = null;
        if (intent.capture_method === 'manual') {
            intent.status = 'requires_capture';
            intent.amount_capturable = intent.amount;
            this.announce('payment_intent.amount_capturable_updated', intent);
        } else {
            this.#take(intent, intent.amount);
        }
    }

    #take(intent, amount) {
        const charge = this.charges.get(intent.latest_charge);
        charge.captured = true;
        charge.amount_captured = amount;
        intent.status = 'succeeded';
        intent.amount_capturable = 0;
        intent.amount_received = amount;
        this.announce('payment_intent.succeeded', intent);
        this.announce('charge.succeeded', charge);
    }
}

function expands(params, what) {
    return Object.values(params.expand ?? {}).includes(what);
}

function page(kept, params, url) {
    const limit = params.limit === undefined ? 10 : Number(params.limit);
    if (!Number.isInteger(limit) || limit < 1 || limit > 100) throw invalid('Limit must be 1 to 100.', 'limit');
    let begin = 0;
    if (params.starting_after !== undefined) {
        begin = kept.findIndex(({id}) => id === params.starting_after) + 1;
        if (begin === 0) throw missing('object', params.starting_after);
    }
    return {object: 'list', url, has_more: kept.length > begin + limit, data: kept.slice(begin, begin + limit)};
}

module.exports = {Books, newId};
