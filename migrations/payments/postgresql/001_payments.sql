-- Payments, and the messaging tables of the payment service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

CREATE TABLE payments (
    id                     uuid NOT NULL PRIMARY KEY,
    order_id               uuid NOT NULL,
    user_id                uuid NOT NULL,
    attempt                bigint NOT NULL CHECK (attempt >= 1),
    status                 text NOT NULL CHECK (status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                             'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                             'PARTIALLY_REFUNDED', 'REFUNDED')),
    amount                 bigint NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    currency               text NOT NULL CHECK (length(currency) = 3),
    captured_amount        bigint NOT NULL CHECK (captured_amount BETWEEN 0 AND amount),
    refunded_amount        bigint NOT NULL CHECK (refunded_amount BETWEEN 0 AND captured_amount),
    payment_method         text NOT NULL,
    provider               text NOT NULL,
    provider_reference     text NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key        text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    failure_code           text NOT NULL,
    failure_detail         text NOT NULL,
    cancel_requested       bigint NOT NULL CHECK (cancel_requested IN (0, 1)),
    refunds                bigint NOT NULL CHECK (refunds >= 0),
    -- The refund under way, stored before the provider is asked for it.
    refund_requested       bigint NOT NULL CHECK (refund_requested BETWEEN 0
                                                                       AND captured_amount - refunded_amount),
    refund_key             text NOT NULL CHECK (length(refund_key) <= 255
                                                  AND (refund_requested = 0) = (refund_key = '')),
    look_ups               bigint NOT NULL CHECK (look_ups >= 0),
    next_look_up_at        bigint NOT NULL,
    traceparent            text NOT NULL,
    version                bigint NOT NULL CHECK (version >= 1),
    created_at             bigint NOT NULL,
    updated_at             bigint NOT NULL,
    UNIQUE (order_id, attempt)
);

-- Nobody pays twice: an order has at most one payment that holds money or may yet.
CREATE UNIQUE INDEX payments_active ON payments (order_id)
    WHERE status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'UNKNOWN', 'PARTIALLY_REFUNDED');

CREATE INDEX payments_due ON payments (next_look_up_at) WHERE next_look_up_at > 0;

CREATE TABLE outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     text NOT NULL UNIQUE,
    topic        text NOT NULL,
    type         text NOT NULL,
    source       text NOT NULL,
    ordering_key text NOT NULL,
    traceparent  text NOT NULL,
    data         text NOT NULL,
    created_at   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE dead_letters (
    event_id          text NOT NULL PRIMARY KEY,
    topic             text NOT NULL,
    type              text NOT NULL,
    source            text NOT NULL,
    ordering_key      text NOT NULL,
    traceparent       text NOT NULL,
    data              text NOT NULL,
    created_at        bigint NOT NULL,
    reason            text NOT NULL,
    delivery_attempts bigint NOT NULL,
    dead_at           bigint NOT NULL
);

CREATE TABLE inbox (
    event_id    text NOT NULL PRIMARY KEY,
    claim       text NOT NULL,
    received_at bigint NOT NULL
);

CREATE INDEX inbox_by_age ON inbox (received_at);
