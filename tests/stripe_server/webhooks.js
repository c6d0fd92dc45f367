// Events, signed and sent as Stripe does: at least once, in any order.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');

const {newId} = require('./books');
const {chanceFrom} = require('./faults');

const MOST_TRIES = 20;
const PAUSE_MS = 200;
const MOST_AT_ONCE = 16;

function signature(payload, secret, seconds = Math.floor(Date.now() / 1000)) {
    const mac = crypto.createHmac('sha256', secret).update(`${seconds}.${payload}`).digest('hex');
    return `t=${seconds},v1=${mac}`;
}

class Webhooks {
    constructor(secret, apiVersion) {
        this.secret = secret;
        this.apiVersion = apiVersion;
        this.agent = new http.Agent({keepAlive: true, maxSockets: MOST_AT_ONCE});
        this.counts = {events: 0, sent: 0, accepted: 0, refused: 0, failed: 0, givenUp: 0, waiting: 0};
        this.set({});
    }

    /// {url, seed, duplicates: fraction, delayMs: [least, most]}; delays of various lengths shuffle the events.
    /// Without a url nothing is sent.
    set(settings) {
        this.settings = settings;
        this.chance = chanceFrom(settings.seed ?? 1);
    }

    announce(type, object) {
        this.counts.events += 1;
        const {url, duplicates = 0, delayMs: [least, most] = [0, 0]} = this.settings;
        if (!url) return;
        const payload = JSON.stringify({
            id: newId('evt'), object: 'event', api_version: this.apiVersion,
            created: Math.floor(Date.now() / 1000), livemode: false, pending_webhooks: 1, type,
            request: {id: newId('req'), idempotency_key: null}, data: {object},
        });
        const copies = this.chance() < duplicates ? 2 : 1;
        for (let copy = 0; copy < copies; ++copy) {
            this.counts.waiting += 1;
            setTimeout(() => this.#send(url, payload, 1), least + this.chance() * (most - least));
        }
    }

    #send(url, payload, attempt) {
        this.counts.sent += 1;
        let ended = false;
        const end = status => {
            if (ended) return;
            ended = true;
            if (status >= 200 && status < 300) {
                this.counts.accepted += 1;
                this.counts.waiting -= 1;
                return;
            }
            this.counts[status === 0 ? 'failed' : 'refused'] += 1;
            if (attempt >= MOST_TRIES) {
                this.counts.givenUp += 1;
                this.counts.waiting -= 1;
            } else {
                setTimeout(() => this.#send(url, payload, attempt + 1), PAUSE_MS * Math.min(attempt, 10));
            }
        };
        const request = http.request(url, {
            method: 'POST', agent: this.agent, timeout: 10000,
            headers: {'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(payload),
                      'Stripe-Signature': signature(payload, this.secret)},
        }, response => {
            response.resume();
            response.on('end', () => end(response.statusCode));
            response.on('error', () => end(0));
        });
        request.on('timeout', () => request.destroy());
        request.on('error', () => end(0));
        request.end(payload);
    }
}

module.exports = {Webhooks, signature};
