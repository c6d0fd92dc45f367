-- Payments, and the messaging tables of the payment service.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

CREATE TABLE IF NOT EXISTS payments (
    id                     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    order_id               CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id                CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempt                BIGINT NOT NULL CHECK (attempt >= 1),
    status                 VARCHAR(32) NOT NULL CHECK (status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'FAILED',
                                                             'REQUIRES_ACTION', 'UNKNOWN', 'CANCELED',
                                                             'PARTIALLY_REFUNDED', 'REFUNDED')),
    amount                 BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    currency               CHAR(3) NOT NULL CHECK (char_length(currency) = 3),
    captured_amount        BIGINT NOT NULL,
    refunded_amount        BIGINT NOT NULL,
    payment_method         TEXT NOT NULL,
    provider               VARCHAR(64) NOT NULL,
    provider_reference     TEXT NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key        VARCHAR(255) NOT NULL CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    failure_code           TEXT NOT NULL,
    failure_detail         TEXT NOT NULL,
    cancel_requested       BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    refunds                BIGINT NOT NULL CHECK (refunds >= 0),
    -- The refund under way, stored before the provider is asked for it.
    refund_requested       BIGINT NOT NULL,
    refund_key             VARCHAR(255) NOT NULL,
    look_ups               BIGINT NOT NULL CHECK (look_ups >= 0),
    next_look_up_at        BIGINT NOT NULL,
    traceparent            TEXT NOT NULL,
    version                BIGINT NOT NULL CHECK (version >= 1),
    created_at             BIGINT NOT NULL,
    updated_at             BIGINT NOT NULL,
    -- Of the table, because in MySQL a column's own CHECK may name no other column.
    CONSTRAINT payments_captured CHECK (captured_amount BETWEEN 0 AND amount),
    CONSTRAINT payments_refunded CHECK (refunded_amount BETWEEN 0 AND captured_amount),
    CONSTRAINT payments_refund_requested
        CHECK (refund_requested BETWEEN 0 AND captured_amount - refunded_amount),
    CONSTRAINT payments_refund_key CHECK ((refund_requested = 0) = (refund_key = '')),
    UNIQUE (order_id, attempt),
    -- Nobody pays twice: an order has at most one payment that holds money or may yet. MariaDB wants RTRIM,
    -- because a setting of the session decides whether CHAR columns are padded.
    active_order_id        CHAR(36) CHARACTER SET ascii COLLATE ascii_bin GENERATED ALWAYS AS (
        CASE WHEN status IN ('PENDING', 'AUTHORIZED', 'CAPTURED', 'UNKNOWN', 'PARTIALLY_REFUNDED')
             THEN RTRIM(order_id) END) VIRTUAL,
    UNIQUE KEY payments_active (active_order_id),
    KEY payments_due (next_look_up_at)
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

CREATE TABLE IF NOT EXISTS inbox (
    event_id    VARCHAR(255) NOT NULL PRIMARY KEY,
    claim       VARCHAR(64) NOT NULL,
    received_at BIGINT NOT NULL,
    KEY inbox_by_age (received_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
