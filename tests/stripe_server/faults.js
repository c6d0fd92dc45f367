// What goes wrong, by chance with a seed or as told: chances are fractions of the requests.
'use strict';

/// Mulberry32: the same seed makes the same sequence of numbers in [0, 1).
function chanceFrom(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
}

const KINDS = [
    'lost_request',   // The connection ends before anything is done.
    'lost_response',  // ... after it was done.
    'rate_limited',   // 429; nothing is done or remembered.
    'locked',         // 429 lock_timeout; likewise.
    'error_before',   // 500 instead of doing it, remembered under the key.
    'error_after',    // 500 after doing it, remembered under the key.
    'unavailable',    // 503 of something in front; nothing is done or remembered.
];

class Faults {
    constructor() {
        this.set({});
    }

    /// {seed, delayMs: [least, most], sparesReads: true, <kind>: fraction, ...}; all that is left out is none.
    set(settings) {
        for (const name of Object.keys(settings)) {
            if (!['seed', 'delayMs', 'sparesReads', ...KINDS].includes(name)) throw new Error(`there is no fault ${name}`);
        }
        this.settings = settings;
        this.chance = chanceFrom(settings.seed ?? 1);
        this.planned = [];
    }

    /// The faults of the next POST requests, one each: a kind, or null for none.
    plan(kinds) {
        for (const kind of kinds) {
            if (kind !== null && !KINDS.includes(kind)) throw new Error(`there is no fault ${kind}`);
        }
        this.planned.push(...kinds);
    }

    next(method = 'POST') {
        const reads = method !== 'POST';
        if (!reads && this.planned.length > 0) return this.planned.shift();
        if (reads && this.settings.sparesReads) return null;
        let dice = this.chance();
        for (const kind of KINDS) {
            dice -= this.settings[kind] ?? 0;
            if (dice < 0) return kind;
        }
        return null;
    }

    delayMs() {
        const [least, most] = this.settings.delayMs ?? [0, 0];
        return least + this.chance() * (most - least);
    }
}

module.exports = {Faults, chanceFrom};
