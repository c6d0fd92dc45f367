-- Captures and voids by hand may be repeated under a key of the administrator's own.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    user_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    "key"        VARCHAR(255) NOT NULL CHECK (char_length("key") BETWEEN 1 AND 255),
    -- What the request that used the key first asked for.
    fingerprint  VARCHAR(255) NOT NULL,
    payment_id   CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, "key"),
    KEY idempotency_keys_by_age (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
