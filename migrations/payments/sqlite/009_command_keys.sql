-- Captures and voids by hand may be repeated under a key of the administrator's own.
CREATE TABLE idempotency_keys (
    user_id      TEXT   NOT NULL,
    key          TEXT   NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- What the request that used the key first asked for.
    fingerprint  TEXT   NOT NULL,
    payment_id   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
