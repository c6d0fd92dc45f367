-- Several refunds of a payment, captures by hand, a list for what nobody could find out, and the ledger.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

ALTER TABLE payments DROP COLUMN refund_key;

ALTER TABLE payments DROP COLUMN refund_requested;

ALTER TABLE payments DROP COLUMN refunds;

ALTER TABLE payments ADD COLUMN capture_at_once BIGINT NOT NULL DEFAULT 1 CHECK (capture_at_once IN (0, 1));

ALTER TABLE payments ADD COLUMN refund_reserved BIGINT NOT NULL DEFAULT 0
    CHECK (refund_reserved BETWEEN 0 AND captured_amount - refunded_amount);

ALTER TABLE payments ADD COLUMN captures BIGINT NOT NULL DEFAULT 0 CHECK (captures >= 0);

ALTER TABLE payments ADD COLUMN capture_requested BIGINT NOT NULL DEFAULT 0
    CHECK (capture_requested BETWEEN 0 AND amount - captured_amount);

ALTER TABLE payments ADD COLUMN capture_key TEXT NOT NULL DEFAULT ''
    CHECK (length(capture_key) <= 255 AND (capture_requested = 0) = (capture_key = ''));

ALTER TABLE payments ADD COLUMN stuck_since BIGINT NOT NULL DEFAULT 0;

CREATE INDEX payments_stuck ON payments (stuck_since) WHERE stuck_since > 0;

CREATE TABLE refunds (
    id                 TEXT   NOT NULL PRIMARY KEY,
    payment_id         TEXT   NOT NULL,
    state              TEXT   NOT NULL CHECK (state IN ('REQUESTED', 'SUCCEEDED', 'FAILED')),
    amount             BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    reason             TEXT   NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key    TEXT   NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    provider_reference TEXT   NOT NULL,
    failure_code       TEXT   NOT NULL,
    failure_detail     TEXT   NOT NULL,
    look_ups           BIGINT NOT NULL CHECK (look_ups >= 0),
    next_look_up_at    BIGINT NOT NULL,
    stuck_since        BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX refunds_by_payment ON refunds (payment_id);

CREATE INDEX refunds_due ON refunds (next_look_up_at) WHERE next_look_up_at > 0;

CREATE INDEX refunds_stuck ON refunds (stuck_since) WHERE stuck_since > 0;

-- Each entry is chained to the one before it in its chain by SHA-256. A batch takes one chain that is free.
CREATE TABLE ledger_entries (
    chain           BIGINT NOT NULL CHECK (chain >= 1),
    seq             BIGINT NOT NULL CHECK (seq >= 1),
    payment_id      TEXT   NOT NULL,
    payment_version BIGINT NOT NULL CHECK (payment_version >= 1),
    movement        TEXT   NOT NULL CHECK (movement IN ('CAPTURE', 'REFUND')),
    account         TEXT   NOT NULL CHECK (account IN ('provider_clearing', 'sales', 'refunds')),
    currency        TEXT   NOT NULL CHECK (length(currency) = 3),
    amount          BIGINT NOT NULL CHECK (amount <> 0),
    posted_at       BIGINT NOT NULL,
    hash            TEXT   NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (chain, seq)
) WITHOUT ROWID;

CREATE INDEX ledger_entries_by_payment ON ledger_entries (payment_id);

-- The newest entry of each chain; whoever has this row's lock may append.
CREATE TABLE ledger_heads (
    chain BIGINT NOT NULL PRIMARY KEY,
    seq   BIGINT NOT NULL CHECK (seq >= 0),
    hash  TEXT   NOT NULL CHECK (length(hash) = 64)
);

INSERT INTO ledger_heads (chain, seq, hash)
SELECT value, 0, '0000000000000000000000000000000000000000000000000000000000000000'
FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]');

CREATE TRIGGER ledger_entries_never_change BEFORE UPDATE ON ledger_entries
BEGIN
    SELECT RAISE(ABORT, 'ledger entries never change');
END;

CREATE TRIGGER ledger_entries_never_go BEFORE DELETE ON ledger_entries
BEGIN
    SELECT RAISE(ABORT, 'ledger entries never go');
END;
