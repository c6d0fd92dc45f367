-- Products, orders, their history, and the messaging tables of the order service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units.

CREATE TABLE products (
    id          text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    unit_price  bigint NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    currency    text NOT NULL CHECK (length(currency) = 3),
    active      bigint NOT NULL CHECK (active IN (0, 1))
);

CREATE TABLE orders (
    id               uuid NOT NULL PRIMARY KEY,
    user_id          uuid NOT NULL,
    status           text NOT NULL CHECK (status IN ('PENDING', 'PROCESSING', 'PAID', 'PAYMENT_FAILED',
                                                       'CANCELED', 'SHIPPED', 'DELIVERED', 'REFUNDED')),
    payment_status   text NOT NULL CHECK (payment_status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                               'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                               'PARTIALLY_REFUNDED', 'REFUNDED')),
    currency         text NOT NULL CHECK (length(currency) = 3),
    total_amount     bigint NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    refunded_amount  bigint NOT NULL CHECK (refunded_amount BETWEEN 0 AND total_amount),
    -- A JSON array of {productId, name, quantity, unitPrice}: written once, read only with its order.
    items            json NOT NULL,
    payment_method   text NOT NULL,
    payment_attempt  bigint NOT NULL CHECK (payment_attempt >= 1),
    -- The sequence of the newest payment update that was applied.
    payment_sequence bigint NOT NULL CHECK (payment_sequence >= 0),
    failure_code     text NOT NULL,
    failure_detail   text NOT NULL,
    version          bigint NOT NULL CHECK (version >= 1),
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL
) WITH (fillfactor = 70);

-- Order ids are UUIDv7, so newest first is by id, descending.
CREATE INDEX orders_by_user ON orders (user_id, id);

CREATE TABLE order_history (
    order_id       uuid NOT NULL,
    version        bigint NOT NULL CHECK (version >= 1),
    status         text NOT NULL,
    payment_status text NOT NULL,
    actor          text NOT NULL,
    reason         text NOT NULL,
    created_at     bigint NOT NULL,
    PRIMARY KEY (order_id, version)
);

CREATE TABLE idempotency_keys (
    user_id      uuid NOT NULL,
    "key"        text NOT NULL CHECK (length("key") BETWEEN 1 AND 255),
    -- SHA-256 of the request that used the key first.
    fingerprint  text NOT NULL,
    order_id     uuid NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (user_id, "key")
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

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
