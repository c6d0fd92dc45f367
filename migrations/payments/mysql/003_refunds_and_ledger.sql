-- Several refunds of a payment, captures by hand, a list for what nobody could find out, and the ledger.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

-- One statement changes the table, and only when it was not changed before.
SET @alter_payments = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'payments' AND column_name = 'refund_key') = 0,
    'DO 0',
    'ALTER TABLE payments
         DROP CONSTRAINT payments_refund_key,
         DROP CONSTRAINT payments_refund_requested,
         DROP COLUMN refund_key,
         DROP COLUMN refund_requested,
         DROP COLUMN refunds,
         ADD COLUMN capture_at_once BIGINT NOT NULL DEFAULT 1 CHECK (capture_at_once IN (0, 1)),
         ADD COLUMN refund_reserved BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN captures BIGINT NOT NULL DEFAULT 0 CHECK (captures >= 0),
         ADD COLUMN capture_requested BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN capture_key VARCHAR(255) NOT NULL DEFAULT \'\',
         ADD COLUMN stuck_since BIGINT NOT NULL DEFAULT 0,
         ADD CONSTRAINT payments_refund_reserved
             CHECK (refund_reserved BETWEEN 0 AND captured_amount - refunded_amount),
         ADD CONSTRAINT payments_capture_requested
             CHECK (capture_requested BETWEEN 0 AND amount - captured_amount),
         ADD CONSTRAINT payments_capture_key CHECK ((capture_requested = 0) = (capture_key = \'\')),
         ADD KEY payments_stuck (stuck_since)');

PREPARE alter_payments FROM @alter_payments;

EXECUTE alter_payments;

DEALLOCATE PREPARE alter_payments;

CREATE TABLE IF NOT EXISTS refunds (
    id                 CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    payment_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state              VARCHAR(32) NOT NULL CHECK (state IN ('REQUESTED', 'SUCCEEDED', 'FAILED')),
    amount             BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    reason             TEXT NOT NULL,
    -- Stored before the first call to the provider, and sent with every repetition.
    idempotency_key    VARCHAR(255) NOT NULL UNIQUE CHECK (char_length(idempotency_key) >= 1),
    provider_reference TEXT NOT NULL,
    failure_code       TEXT NOT NULL,
    failure_detail     TEXT NOT NULL,
    look_ups           BIGINT NOT NULL CHECK (look_ups >= 0),
    next_look_up_at    BIGINT NOT NULL,
    stuck_since        BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    KEY refunds_by_payment (payment_id),
    KEY refunds_due (next_look_up_at),
    KEY refunds_stuck (stuck_since)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Each entry is chained to the one before it in its chain by SHA-256. A batch takes one chain that is free.
CREATE TABLE IF NOT EXISTS ledger_entries (
    chain           BIGINT NOT NULL CHECK (chain >= 1),
    seq             BIGINT NOT NULL CHECK (seq >= 1),
    payment_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payment_version BIGINT NOT NULL CHECK (payment_version >= 1),
    movement        VARCHAR(32) NOT NULL CHECK (movement IN ('CAPTURE', 'REFUND')),
    account         VARCHAR(32) NOT NULL CHECK (account IN ('provider_clearing', 'sales', 'refunds')),
    currency        CHAR(3) NOT NULL CHECK (char_length(currency) = 3),
    amount          BIGINT NOT NULL CHECK (amount <> 0),
    posted_at       BIGINT NOT NULL,
    hash            CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (char_length(hash) = 64),
    PRIMARY KEY (chain, seq),
    KEY ledger_entries_by_payment (payment_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The newest entry of each chain; whoever has this row's lock may append.
CREATE TABLE IF NOT EXISTS ledger_heads (
    chain BIGINT NOT NULL PRIMARY KEY,
    seq   BIGINT NOT NULL CHECK (seq >= 0),
    hash  CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (char_length(hash) = 64)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO ledger_heads (chain, seq, hash)
SELECT n, 0, REPEAT('0', 64)
FROM JSON_TABLE('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]', '$[*]' COLUMNS (n BIGINT PATH '$')) AS chains;

DROP TRIGGER IF EXISTS ledger_entries_never_change;

CREATE TRIGGER ledger_entries_never_change BEFORE UPDATE ON ledger_entries
    FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ledger entries never change';

DROP TRIGGER IF EXISTS ledger_entries_never_go;

CREATE TRIGGER ledger_entries_never_go BEFORE DELETE ON ledger_entries
    FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ledger entries never go';
