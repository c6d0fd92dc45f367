-- What is wanted of a payment and what was seen of it at the provider, apart; and no constraint over what was
-- seen.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

-- Each statement changes the table only when it was not changed before. Most payments are captured: with this
-- default their rows are not written.
SET @alter_payments = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'payments' AND column_name = 'provider_state') > 0,
    'DO 0',
    'ALTER TABLE payments
         DROP KEY payments_active,
         DROP COLUMN active_order_id,
         DROP CONSTRAINT payments_captured,
         DROP CONSTRAINT payments_refunded,
         DROP CONSTRAINT payments_refund_reserved,
         DROP CONSTRAINT payments_capture_requested,
         ADD COLUMN closed_at BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN charge_sent BIGINT NOT NULL DEFAULT 1 CHECK (charge_sent IN (0, 1)),
         ADD COLUMN provider_state VARCHAR(32) NOT NULL DEFAULT \'CAPTURED\' CHECK (provider_state IN
             (\'NONE\', \'ABSENT\', \'OPEN\', \'PROCESSING\', \'AUTHORIZED\', \'CANCELED\', \'CAPTURED\')),
         ADD CONSTRAINT payments_not_negative
             CHECK (captured_amount >= 0 AND refunded_amount >= 0 AND refund_reserved >= 0),
         ADD CONSTRAINT payments_capture_within_amount CHECK (capture_requested BETWEEN 0 AND amount)');

PREPARE alter_payments FROM @alter_payments;

EXECUTE alter_payments;

DEALLOCATE PREPARE alter_payments;

UPDATE payments SET
    charge_sent = CASE WHEN status = 'CANCELED' AND payment_method = '' THEN 0 ELSE 1 END,
    provider_state = CASE
        WHEN status = 'AUTHORIZED' THEN 'AUTHORIZED'
        WHEN status = 'CANCELED' AND payment_method = '' THEN 'NONE'
        WHEN status = 'CANCELED' AND provider_reference <> '' THEN 'CANCELED'
        WHEN status IN ('FAILED', 'CANCELED') AND provider_reference = '' THEN 'ABSENT'
        WHEN status IN ('FAILED', 'REQUIRES_ACTION') THEN 'OPEN'
        WHEN status = 'PENDING' AND provider_reference <> '' THEN 'PROCESSING'
        ELSE 'NONE' END
WHERE status NOT IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED') AND provider_state = 'CAPTURED';

UPDATE payments JOIN (SELECT order_id, MAX(attempt) AS attempt FROM payments GROUP BY order_id
                      HAVING MAX(attempt) > 1) AS latest
    ON latest.order_id = payments.order_id AND payments.attempt < latest.attempt
SET payments.closed_at = payments.updated_at
WHERE payments.closed_at = 0;

ALTER TABLE payments ALTER COLUMN provider_state SET DEFAULT 'NONE';

-- What is wanted: of the attempts to pay an order, all but one are ended. What was seen can always be stored.
-- MariaDB wants RTRIM, because a setting of the session decides whether CHAR columns are padded.
SET @alter_payments = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'payments' AND column_name = 'not_ended_order_id') > 0,
    'DO 0',
    'ALTER TABLE payments
         ADD COLUMN not_ended_order_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin GENERATED ALWAYS AS (
             CASE WHEN closed_at = 0 AND cancel_requested = 0 THEN RTRIM(order_id) END) VIRTUAL,
         ADD UNIQUE KEY payments_not_ended (not_ended_order_id)');

PREPARE alter_payments FROM @alter_payments;

EXECUTE alter_payments;

DEALLOCATE PREPARE alter_payments;
