// What becomes of a charge, by the test payment method: https://docs.stripe.com/testing.
'use strict';

const DECLINES = {
    chargeDeclined: ['card_declined', 'generic_decline', 'Your card was declined.'],
    chargeDeclinedInsufficientFunds: ['card_declined', 'insufficient_funds', 'Your card has insufficient funds.'],
    chargeDeclinedLostCard: ['card_declined', 'lost_card', 'Your card was declined.'],
    chargeDeclinedStolenCard: ['card_declined', 'stolen_card', 'Your card was declined.'],
    chargeDeclinedExpiredCard: ['expired_card', 'expired_card', 'Your card has expired.'],
    chargeDeclinedIncorrectCvc: ['incorrect_cvc', 'incorrect_cvc', "Your card's security code is incorrect."],
    chargeDeclinedProcessingError: ['processing_error', 'processing_error',
                                    'An error occurred while processing your card. Try again in a little bit.'],
};
const GOOD = new Set(['pm_card_visa', 'pm_card_mastercard']);

/// 'good', 'authentication', {code, decline_code, message}, or undefined for a method that does not exist.
function outcomeOf(method) {
    if (GOOD.has(method)) return 'good';
    const kind = method.replace(/^pm_card_(visa_)?/, '');
    if (kind === method) return undefined;
    if (kind === 'authenticationRequired') return 'authentication';
    if (!Object.hasOwn(DECLINES, kind)) return undefined;
    const [code, decline_code, message] = DECLINES[kind];
    return {code, decline_code, message};
}

module.exports = {outcomeOf};
