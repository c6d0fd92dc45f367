-- Payments, and the messaging tables of the payment service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

CREATE TABLE payments (
    id                     TEXT   NOT NULL PRIMARY KEY,
    order_id               TEXT   NOT NULL,
    user_id                TEXT   NOT NULL,
    attempt                BIGINT NOT NULL CHECK (attempt >= 1),
    status                 TEXT   NOT NULL CHECK (status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                             'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                             'PARTIALLY_REFUNDED', 'REFUNDED')),
    amount                 BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    currency               TEXT   NOT NULL CHECK (length(currency) = 3),
    captured_amount        BIGINT NOT NULL CHECK (captured_amount BETWEEN 0 AND amount),
    refunded_amount        BIGINT NOT NULL CHECK (refunded_amount BETWEEN 0 AND captured_amount),
    payment_method         TEXT   NOT NULL,
    provider               TEXT   NOT NULL,
    provider_reference     TEXT   NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key        TEXT   NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    failure_code           TEXT   NOT NULL,
    failure_detail         TEXT   NOT NULL,
    cancel_requested       BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    refunds                BIGINT NOT NULL CHECK (refunds >= 0),
    -- The refund under way, stored before the provider is asked for it.
    refund_requested       BIGINT NOT NULL CHECK (refund_requested BETWEEN 0
                                                                       AND captured_amount - refunded_amount),
    refund_key             TEXT   NOT NULL CHECK (length(refund_key) <= 255
                                                  AND (refund_requested = 0) = (refund_key = '')),
    look_ups               BIGINT NOT NULL CHECK (look_ups >= 0),
    next_look_up_at        BIGINT NOT NULL,
    traceparent            TEXT   NOT NULL,
    version                BIGINT NOT NULL CHECK (version >= 1),
    created_at             BIGINT NOT NULL,
    updated_at             BIGINT NOT NULL,
    UNIQUE (order_id, attempt)
) WITHOUT ROWID;

-- Nobody pays twice: an order has at most one payment that holds money or may yet.
CREATE UNIQUE INDEX payments_active ON payments (order_id)
    WHERE status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'UNKNOWN', 'PARTIALLY_REFUNDED');

CREATE INDEX payments_due ON payments (next_look_up_at) WHERE next_look_up_at > 0;

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY,
    event_id     TEXT   NOT NULL UNIQUE,
    topic        TEXT   NOT NULL,
    type         TEXT   NOT NULL,
    source       TEXT   NOT NULL,
    ordering_key TEXT   NOT NULL,
    traceparent  TEXT   NOT NULL,
    data         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE dead_letters (
    event_id          TEXT   NOT NULL PRIMARY KEY,
    topic             TEXT   NOT NULL,
    type              TEXT   NOT NULL,
    source            TEXT   NOT NULL,
    ordering_key      TEXT   NOT NULL,
    traceparent       TEXT   NOT NULL,
    data              TEXT   NOT NULL,
    created_at        BIGINT NOT NULL,
    reason            TEXT   NOT NULL,
    delivery_attempts BIGINT NOT NULL,
    dead_at           BIGINT NOT NULL
);

CREATE TABLE inbox (
    event_id    TEXT   NOT NULL PRIMARY KEY,
    claim       TEXT   NOT NULL,
    received_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX inbox_by_age ON inbox (received_at);
