-- Several refunds of a payment, captures by hand, a list for what nobody could find out, and the ledger.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

ALTER TABLE payments
    DROP COLUMN refund_key,
    DROP COLUMN refund_requested,
    DROP COLUMN refunds,
    ADD COLUMN capture_at_once bigint NOT NULL DEFAULT 1 CHECK (capture_at_once IN (0, 1)),
    ADD COLUMN refund_reserved bigint NOT NULL DEFAULT 0
        CHECK (refund_reserved BETWEEN 0 AND captured_amount - refunded_amount),
    ADD COLUMN captures bigint NOT NULL DEFAULT 0 CHECK (captures >= 0),
    ADD COLUMN capture_requested bigint NOT NULL DEFAULT 0
        CHECK (capture_requested BETWEEN 0 AND amount - captured_amount),
    ADD COLUMN capture_key text NOT NULL DEFAULT ''
        CHECK (length(capture_key) <= 255 AND (capture_requested = 0) = (capture_key = '')),
    ADD COLUMN stuck_since bigint NOT NULL DEFAULT 0;

CREATE INDEX payments_stuck ON payments (stuck_since) WHERE stuck_since > 0;

CREATE TABLE refunds (
    id                 uuid NOT NULL PRIMARY KEY,
    payment_id         uuid NOT NULL,
    state              text NOT NULL CHECK (state IN ('REQUESTED', 'SUCCEEDED', 'FAILED')),
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    reason             text NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key    text NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    provider_reference text NOT NULL,
    failure_code       text NOT NULL,
    failure_detail     text NOT NULL,
    look_ups           bigint NOT NULL CHECK (look_ups >= 0),
    next_look_up_at    bigint NOT NULL,
    stuck_since        bigint NOT NULL,
    created_at         bigint NOT NULL,
    updated_at         bigint NOT NULL
);

CREATE INDEX refunds_by_payment ON refunds (payment_id);

CREATE INDEX refunds_due ON refunds (next_look_up_at) WHERE next_look_up_at > 0;

CREATE INDEX refunds_stuck ON refunds (stuck_since) WHERE stuck_since > 0;

-- Each entry is chained to the one before it in its chain by SHA-256. A batch takes one chain that is free.
CREATE TABLE ledger_entries (
    chain           bigint NOT NULL CHECK (chain >= 1),
    seq             bigint NOT NULL CHECK (seq >= 1),
    payment_id      uuid NOT NULL,
    payment_version bigint NOT NULL CHECK (payment_version >= 1),
    movement        text NOT NULL CHECK (movement IN ('CAPTURE', 'REFUND')),
    account         text NOT NULL CHECK (account IN ('provider_clearing', 'sales', 'refunds')),
    currency        text NOT NULL CHECK (length(currency) = 3),
    amount          bigint NOT NULL CHECK (amount <> 0),
    posted_at       bigint NOT NULL,
    hash            text NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (chain, seq)
);

CREATE INDEX ledger_entries_by_payment ON ledger_entries (payment_id);

-- The newest entry of each chain; whoever has this row's lock may append.
CREATE TABLE ledger_heads (
    chain bigint NOT NULL PRIMARY KEY,
    seq   bigint NOT NULL CHECK (seq >= 0),
    hash  text NOT NULL CHECK (length(hash) = 64)
) WITH (fillfactor = 10);

INSERT INTO ledger_heads (chain, seq, hash) SELECT n, 0, repeat('0', 64) FROM generate_series(1, 16) AS n;

CREATE FUNCTION refuse_to_change_the_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries never change and never go';
END
$$;

CREATE TRIGGER ledger_entries_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_ledger();
