-- Products, orders, their history, and the messaging tables of the order service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units.

CREATE TABLE IF NOT EXISTS products (
    id          VARCHAR(100) NOT NULL PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 100),
    name        VARCHAR(200) NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    unit_price  BIGINT NOT NULL CHECK (unit_price BETWEEN 0 AND 9007199254740991),
    currency    CHAR(3) NOT NULL CHECK (char_length(currency) = 3),
    active      BIGINT NOT NULL CHECK (active IN (0, 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS orders (
    id               CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    user_id          CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status           VARCHAR(32) NOT NULL CHECK (status IN ('PENDING', 'PROCESSING', 'PAID', 'PAYMENT_FAILED',
                                                       'CANCELED', 'SHIPPED', 'DELIVERED', 'REFUNDED')),
    payment_status   VARCHAR(32) NOT NULL CHECK (payment_status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                               'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                               'PARTIALLY_REFUNDED', 'REFUNDED')),
    currency         CHAR(3) NOT NULL CHECK (char_length(currency) = 3),
    total_amount     BIGINT NOT NULL CHECK (total_amount BETWEEN 0 AND 9007199254740991),
    refunded_amount  BIGINT NOT NULL,
    -- A JSON array of {productId, name, quantity, unitPrice}: written once, read only with its order.
    items            JSON NOT NULL,
    payment_method   TEXT NOT NULL,
    payment_attempt  BIGINT NOT NULL CHECK (payment_attempt >= 1),
    -- The sequence of the newest payment update that was applied.
    payment_sequence BIGINT NOT NULL CHECK (payment_sequence >= 0),
    failure_code     TEXT NOT NULL,
    failure_detail   TEXT NOT NULL,
    version          BIGINT NOT NULL CHECK (version >= 1),
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    -- Of the table, because in MySQL a column's own CHECK may name no other column.
    CONSTRAINT orders_refunded_of_total CHECK (refunded_amount BETWEEN 0 AND total_amount),
    -- Order ids are UUIDv7, so newest first is by id, descending.
    KEY orders_by_user (user_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS order_history (
    order_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version        BIGINT NOT NULL CHECK (version >= 1),
    status         VARCHAR(32) NOT NULL,
    payment_status VARCHAR(32) NOT NULL,
    actor          VARCHAR(32) NOT NULL,
    reason         MEDIUMTEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (order_id, version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS idempotency_keys (
    user_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    "key"        VARCHAR(255) NOT NULL CHECK (char_length("key") BETWEEN 1 AND 255),
    -- SHA-256 of the request that used the key first.
    fingerprint  VARCHAR(255) NOT NULL,
    order_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, "key"),
    KEY idempotency_keys_by_age (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS outbox (
    seq          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id     VARCHAR(255) NOT NULL UNIQUE,
    topic        VARCHAR(255) NOT NULL,
    type         VARCHAR(255) NOT NULL,
    source       TEXT NOT NULL,
    ordering_key TEXT NOT NULL,
    traceparent  TEXT NOT NULL,
    data         LONGTEXT NOT NULL,
    created_at   BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS dead_letters (
    event_id          VARCHAR(255) NOT NULL PRIMARY KEY,
    topic             VARCHAR(255) NOT NULL,
    type              VARCHAR(255) NOT NULL,
    source            TEXT NOT NULL,
    ordering_key      TEXT NOT NULL,
    traceparent       TEXT NOT NULL,
    data              LONGTEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    reason            MEDIUMTEXT NOT NULL,
    delivery_attempts BIGINT NOT NULL,
    dead_at           BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
