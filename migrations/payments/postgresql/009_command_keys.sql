-- Captures and voids by hand may be repeated under a key of the administrator's own.
CREATE TABLE idempotency_keys (
    user_id      uuid NOT NULL,
    "key"        text NOT NULL CHECK (length("key") BETWEEN 1 AND 255),
    -- What the request that used the key first asked for.
    fingerprint  text NOT NULL,
    payment_id   uuid NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (user_id, "key")
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
