// Refusals in Stripe's form: https://docs.stripe.com/api/errors.
'use strict';

class StripeError extends Error {
    /// `more` holds what else the error object has: code, param, decline_code, payment_intent ...
    constructor(status, type, message, more = {}) {
        super(message);
        this.status = status;
        this.body = {error: {type, message, ...more}};
    }
}

function invalid(message, param, code) {
    return new StripeError(400, 'invalid_request_error', message,
                           {...(code && {code}), ...(param && {param})});
}

function missing(what, id) {
    return new StripeError(404, 'invalid_request_error', `No such ${what}: '${id}'`,
                           {code: 'resource_missing', param: 'id'});
}

module.exports = {StripeError, invalid, missing};
