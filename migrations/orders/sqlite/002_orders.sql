-- Products, orders, their history, and the messaging tables of the order service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units.

CREATE TABLE products (
    id          TEXT   NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    name        TEXT   NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    unit_price  BIGINT NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    currency    TEXT   NOT NULL CHECK (length(currency) = 3),
    active      BIGINT NOT NULL CHECK (active IN (0, 1))
) WITHOUT ROWID;

CREATE TABLE orders (
    id               TEXT   NOT NULL PRIMARY KEY,
    user_id          TEXT   NOT NULL,
    status           TEXT   NOT NULL CHECK (status IN ('PENDING', 'PROCESSING', 'PAID', 'PAYMENT_FAILED',
                                                       'CANCELED', 'SHIPPED', 'DELIVERED', 'REFUNDED')),
    payment_status   TEXT   NOT NULL CHECK (payment_status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                               'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                               'PARTIALLY_REFUNDED', 'REFUNDED')),
    currency         TEXT   NOT NULL CHECK (length(currency) = 3),
    total_amount     BIGINT NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    refunded_amount  BIGINT NOT NULL CHECK (refunded_amount BETWEEN 0 AND total_amount),
    -- A JSON array of {productId, name, quantity, unitPrice}: written once, read only with its order.
    items            TEXT   NOT NULL,
    payment_method   TEXT   NOT NULL,
    payment_attempt  BIGINT NOT NULL CHECK (payment_attempt >= 1),
    -- The sequence of the newest payment update that was applied.
    payment_sequence BIGINT NOT NULL CHECK (payment_sequence >= 0),
    failure_code     TEXT   NOT NULL,
    failure_detail   TEXT   NOT NULL,
    version          BIGINT NOT NULL CHECK (version >= 1),
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
) WITHOUT ROWID;

-- Order ids are UUIDv7, so newest first is by id, descending.
CREATE INDEX orders_by_user ON orders (user_id, id);

CREATE TABLE order_history (
    order_id       TEXT   NOT NULL,
    version        BIGINT NOT NULL CHECK (version >= 1),
    status         TEXT   NOT NULL,
    payment_status TEXT   NOT NULL,
    actor          TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (order_id, version)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    user_id      TEXT   NOT NULL,
    key          TEXT   NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request that used the key first.
    fingerprint  TEXT   NOT NULL,
    order_id     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

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
