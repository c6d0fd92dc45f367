// A server that answers as Stripe does, for tests: it keeps what it is told, in memory.
'use strict';

const http = require('node:http');

const {Books, newId} = require('./books');
const {StripeError, invalid} = require('./errors');
const {Faults} = require('./faults');
const {parseForm} = require('./form');
const {Webhooks} = require('./webhooks');

const LONGEST_BODY = 64 * 1024;
const SEARCH_LAG_MS = 60 * 1000;

class Server {
    constructor({key, webhookSecret, searchLagMs = SEARCH_LAG_MS}) {
        this.key = key;
        this.searchLagMs = searchLagMs;
        this.searchIsRefused = false;
        this.forbidden = {};  // By call, such as "GET v1/payment_intents/search": 401 or 403.
        this.faults = new Faults();
        this.webhooks = new Webhooks(webhookSecret, '2024-06-20');
        this.books = new Books((type, object) => this.webhooks.announce(type, object));
        this.remembered = new Map();  // By idempotency key: {asked, answer}; without an answer it is under way.
        this.counts = {requests: 0, replayed: 0, faults: {}, faultsOfReads: {}};
        this.http = http.createServer((request, response) => {
            this.#receive(request, response).catch(error => {
                console.error(error);
                response.destroy();
            });
        });
    }

    /// Listens on 127.0.0.1; returns the port.
    listen(port = 0) {
        return new Promise(resolve => this.http.listen(port, '127.0.0.1', 4096,
                                                       () => resolve(this.http.address().port)));
    }

    close() {
        this.http.closeAllConnections();
        return new Promise(resolve => this.http.close(resolve));
    }

    async #receive(request, response) {
        const body = await bodyOf(request);
        const url = new URL(request.url, 'http://localhost');
        if (url.pathname.startsWith('/_control/')) return this.#answerControl(url.pathname, request.method, body, response);
        this.counts.requests += 1;
        const asked = {method: request.method, path: url.pathname, query: url.search.slice(1), body,
                       key: request.headers['idempotency-key'], version: request.headers['stripe-version']};
        try {
            this.#authenticate(request, callOf(request.method, url.pathname));
            const answer = await this.#answer(asked);
            if (answer === null) return response.destroy();
            answerJson(response, answer.status, answer.body, answer.headers);
        } catch (error) {
            if (!(error instanceof StripeError)) throw error;
            answerJson(response, error.status, error.body);
        }
    }

    #authenticate(request, call) {
        const [scheme, credentials = ''] = (request.headers.authorization ?? '').split(' ');
        const key = scheme === 'Basic' ? Buffer.from(credentials, 'base64').toString().replace(/:$/, '') : credentials;
        if (key !== this.key || this.forbidden[call] === 401) {
            throw new StripeError(401, 'invalid_request_error', 'Invalid API Key provided');
        }
        if (this.forbidden[call]) {
            throw new StripeError(403, 'invalid_request_error',
                'The provided key does not have the required permissions for this endpoint.');
        }
    }

    /// With the faults; null when the connection is to end without an answer.
    async #answer(asked) {
        const posts = asked.method === 'POST';
        const fault = this.faults.next(asked.method);
        const counts = posts ? this.counts.faults : this.counts.faultsOfReads;
        if (fault) counts[fault] = (counts[fault] ?? 0) + 1;
        switch (fault) {
        case 'lost_request': return null;
        case 'rate_limited': return refusal(429, 'rate_limit', 'Too many requests.');
        case 'locked':
            return {...refusal(429, 'lock_timeout', 'This object cannot be accessed right now.'),
                    headers: {'Stripe-Should-Retry': 'true'}};
        case 'unavailable': return {status: 503, body: {}};
        }
        const answer = posts ? await this.#once(asked, fault) : this.#executed(asked, fault).answer;
        return fault === 'lost_response' ? null : answer;
    }

    /// https://docs.stripe.com/api/idempotent_requests
    async #once(asked, fault) {
        const work = async () => {
            const delay = this.faults.delayMs();
            if (delay > 0) await new Promise(resolve => setTimeout(resolve, delay));
            return this.#executed(asked, fault);
        };
        if (!asked.key) return (await work()).answer;
        const fingerprint = `${asked.method} ${asked.path} ${asked.body}`;
        const before = this.remembered.get(asked.key);
        if (before && before.fingerprint !== fingerprint) {
            throw new StripeError(400, 'idempotency_error',
                'Keys for idempotent requests can only be used with the same parameters they were first used with.');
        }
        if (before && !before.answer) {
            throw new StripeError(409, 'idempotency_error',
                'There is currently another in-progress request using this Idempotency Key.',
                {code: 'idempotency_key_in_use'});
        }
        if (before) {
            this.counts.replayed += 1;
            return {...before.answer, headers: {...before.answer.headers, 'Idempotent-Replayed': 'true'}};
        }
        const entry = {fingerprint};
        this.remembered.set(asked.key, entry);
        const {answer, began} = await work();
        // What failed validation is not remembered: it may be sent again, corrected or not.
        if (began) entry.answer = answer;
        else this.remembered.delete(asked.key);
        return answer;
    }

    #executed(asked, fault) {
        const broken = {status: 500, headers: {'Stripe-Should-Retry': 'false'},
                        body: {error: {type: 'api_error', message: 'An unknown error occurred.'}}};
        if (fault === 'error_before') return {answer: broken, began: true};
        try {
            const answer = this.#execute(asked);
            // What is remembered is the answer as it was, not the object as it will be.
            return {answer: fault === 'error_after' ? broken : {...answer, body: structuredClone(answer.body)},
                    began: true};
        } catch (error) {
            if (!(error instanceof StripeError)) throw error;
            const began = error.body.error.type !== 'invalid_request_error' || 'payment_intent' in error.body.error;
            if (fault === 'error_after' && began) return {answer: broken, began};
            return {answer: {status: error.status, body: error.body}, began};
        }
    }

    #execute({method, path, query, body, version}) {
        const params = parseForm(method === 'POST' ? body : query);
        const call = callOf(method, path);
        const id = path.split('/')[3];
        const {books} = this;
        const calls = {
            'POST v1/payment_intents': () => books.createIntent(params),
            'GET v1/payment_intents': () => books.listIntents(params),
            'GET v1/payment_intents/search': () => this.#search(params),
            'GET v1/payment_intents/{id}': () => books.retrieveIntent(id, params),
            'POST v1/payment_intents/{id}/confirm': () => books.confirmIntent(id, params),
            'POST v1/payment_intents/{id}/capture': () => books.captureIntent(id, params),
            'POST v1/payment_intents/{id}/cancel': () => books.cancelIntent(id, params),
            'POST v1/refunds': () => books.createRefund(params),
            'GET v1/refunds': () => books.listRefunds(params),
            'GET v1/refunds/{id}': () => books.retrieveRefund(id),
        };
        if (!Object.hasOwn(calls, call)) {
            throw new StripeError(404, 'invalid_request_error', `Unrecognized request URL (${method}: ${path}).`);
        }
        if (!version) throw invalid('This server wants the header Stripe-Version.');
        return {status: 200, body: calls[call](), headers: {'Stripe-Version': version}};
    }

    #search(params) {
        if (this.searchIsRefused) throw invalid('Search is not available for this account.');
        return this.books.searchIntents(params, this.searchLagMs);
    }

    #answerControl(path, method, body, response) {
        try {
            answerJson(response, 200, this.#control(path, method, body));
        } catch (error) {
            if (!(error instanceof StripeError)) throw error;
            answerJson(response, error.status, error.body);
        }
    }

    /// What the customer and people at the dashboard do: to an intent by its id, or the n-th of an order, or its
    /// last.
    #people(what, {id, order, attempt, amount, method}) {
        const {books} = this;
        const intent = id ?? books.intentOf(order, attempt);
        const text = amount === undefined ? undefined : String(amount);
        switch (what) {
        case 'confirm': return books.customerConfirms(intent, method);
        case 'capture': return books.captureIntent(intent, {amount_to_capture: text});
        case 'cancel': return books.cancelIntent(intent);
        case 'refund': return books.createRefund({payment_intent: intent, amount: text});
        }
    }

    /// For tests: faults, webhooks, people, and the books.
    #control(path, method, body) {
        if (method === 'GET' && path === '/_control/books') {
            return {orders: this.books.perOrder(), requests: this.counts, webhooks: this.webhooks.counts};
        }
        const settings = JSON.parse(body);
        switch (path) {
        case '/_control/faults': return this.faults.set(settings) ?? {};
        case '/_control/plan': return this.faults.plan(settings) ?? {};
        case '/_control/webhooks': return this.webhooks.set(settings) ?? {};
        case '/_control/fail_refund': return this.books.failRefund(settings.id);
        case '/_control/strangers': return this.books.makeStrangers(settings);
        case '/_control/forbid': this.forbidden = settings; return {};
        case '/_control/confirm':
        case '/_control/capture':
        case '/_control/cancel':
        case '/_control/refund': return this.#people(path.split('/')[2], settings);
        case '/_control/search':
            this.searchLagMs = settings.lagMs;
            this.searchIsRefused = settings.refused ?? false;
            return {};
        }
        throw new Error(`there is no control ${path}`);
    }
}

/// "GET v1/payment_intents/{id}": the call without what is called.
function callOf(method, path) {
    const parts = path.split('/').slice(1);
    return `${method} ${parts.map((part, at) => (at === 2 && part !== 'search' ? '{id}' : part)).join('/')}`;
}

function refusal(status, code, message) {
    return {status, body: {error: {type: 'invalid_request_error', code, message}}};
}

async function bodyOf(request) {
    const parts = [];
    let length = 0;
    for await (const part of request) {
        length += part.length;
        if (length > LONGEST_BODY) throw new Error('the body is too long');
        parts.push(part);
    }
    return Buffer.concat(parts).toString();
}

function answerJson(response, status, body, headers = {}) {
    const text = JSON.stringify(body);
    response.writeHead(status, {'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text),
                                'Request-Id': newId('req'), ...headers});
    response.end(text);
}

module.exports = {Server};
