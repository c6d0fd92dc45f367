-- What is wanted of a payment and what was seen of it at the provider, apart; and no constraint over what was
-- seen. SQLite drops no CHECK, so the table is written anew.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

CREATE TABLE payments_rewritten (
    id                  TEXT   NOT NULL PRIMARY KEY,
    order_id            TEXT   NOT NULL,
    user_id             TEXT   NOT NULL,
    attempt             BIGINT NOT NULL CHECK (attempt >= 1),
    status              TEXT   NOT NULL CHECK (status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                          'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                          'PARTIALLY_REFUNDED', 'REFUNDED')),
    amount              BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    currency            TEXT   NOT NULL CHECK (length(currency) = 3),
    payment_method      TEXT   NOT NULL,
    provider            TEXT   NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key     TEXT   NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    capture_at_once     BIGINT NOT NULL DEFAULT 1 CHECK (capture_at_once IN (0, 1)),
    closed_at           BIGINT NOT NULL DEFAULT 0,
    cancel_requested    BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    cancel_requested_at BIGINT NOT NULL DEFAULT 0,
    captures            BIGINT NOT NULL DEFAULT 0 CHECK (captures >= 0),
    capture_requested   BIGINT NOT NULL DEFAULT 0 CHECK (capture_requested BETWEEN 0 AND amount),
    capture_key         TEXT   NOT NULL DEFAULT ''
        CHECK (length(capture_key) <= 255 AND (capture_requested = 0) = (capture_key = '')),
    refund_reserved     BIGINT NOT NULL DEFAULT 0 CHECK (refund_reserved >= 0),
    charge_sent         BIGINT NOT NULL DEFAULT 1 CHECK (charge_sent IN (0, 1)),
    provider_state      TEXT   NOT NULL DEFAULT 'NONE'
        CHECK (provider_state IN ('NONE', 'ABSENT', 'OPEN', 'PROCESSING', 'AUTHORIZED', 'CANCELED', 'CAPTURED')),
    provider_reference  TEXT   NOT NULL,
    captured_amount     BIGINT NOT NULL CHECK (captured_amount >= 0),
    refunded_amount     BIGINT NOT NULL CHECK (refunded_amount >= 0),
    failure_code        TEXT   NOT NULL,
    failure_detail      TEXT   NOT NULL,
    look_ups            BIGINT NOT NULL CHECK (look_ups >= 0),
    next_look_up_at     BIGINT NOT NULL,
    stuck_since         BIGINT NOT NULL DEFAULT 0,
    traceparent         TEXT   NOT NULL,
    version             BIGINT NOT NULL CHECK (version >= 1),
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    UNIQUE (order_id, attempt)
) WITHOUT ROWID;

INSERT INTO payments_rewritten (id, order_id, user_id, attempt, status, amount, currency, payment_method, provider,
    idempotency_key, capture_at_once, closed_at, cancel_requested, cancel_requested_at, captures,
    capture_requested, capture_key, refund_reserved, charge_sent, provider_state, provider_reference,
    captured_amount, refunded_amount, failure_code, failure_detail, look_ups, next_look_up_at, stuck_since,
    traceparent, version, created_at, updated_at)
SELECT id, order_id, user_id, attempt, status, amount, currency, payment_method, provider, idempotency_key,
    capture_at_once,
    CASE WHEN EXISTS (SELECT 1 FROM payments AS later
                      WHERE later.order_id = payments.order_id AND later.attempt > payments.attempt)
         THEN updated_at ELSE 0 END,
    cancel_requested, cancel_requested_at, captures, capture_requested, capture_key, refund_reserved,
    CASE WHEN status = 'CANCELED' AND payment_method = '' THEN 0 ELSE 1 END,
    CASE WHEN status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED') THEN 'CAPTURED'
         WHEN status = 'AUTHORIZED' THEN 'AUTHORIZED'
         WHEN status = 'CANCELED' AND payment_method = '' THEN 'NONE'
         WHEN status = 'CANCELED' AND provider_reference <> '' THEN 'CANCELED'
         WHEN status IN ('FAILED', 'CANCELED') AND provider_reference = '' THEN 'ABSENT'
         WHEN status IN ('FAILED', 'REQUIRES_ACTION') THEN 'OPEN'
         WHEN status = 'PENDING' AND provider_reference <> '' THEN 'PROCESSING'
         ELSE 'NONE' END,
    provider_reference, captured_amount, refunded_amount, failure_code, failure_detail, look_ups, next_look_up_at,
    stuck_since, traceparent, version, created_at, updated_at
FROM payments;

DROP TABLE payments;

ALTER TABLE payments_rewritten RENAME TO payments;

-- What is wanted: of the attempts to pay an order, all but one are ended. What was seen can always be stored.
CREATE UNIQUE INDEX payments_not_ended ON payments (order_id) WHERE closed_at = 0 AND cancel_requested = 0;

CREATE INDEX payments_due ON payments (next_look_up_at) WHERE next_look_up_at > 0;

CREATE INDEX payments_stuck ON payments (stuck_since) WHERE stuck_since > 0;
