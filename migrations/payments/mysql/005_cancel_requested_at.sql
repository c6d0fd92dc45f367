-- When the cancellation of a payment was stored; no charge is sent after it. 0 stands for "none".

-- Every statement may be run again, and MySQL has no ADD COLUMN IF NOT EXISTS.
SET @alter_payments = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'payments' AND column_name = 'cancel_requested_at') = 0,
    'ALTER TABLE payments ADD COLUMN cancel_requested_at BIGINT NOT NULL DEFAULT 0',
    'DO 0');

PREPARE alter_payments FROM @alter_payments;

EXECUTE alter_payments;

DEALLOCATE PREPARE alter_payments;

UPDATE payments SET cancel_requested_at = updated_at WHERE cancel_requested = 1 AND cancel_requested_at = 0;
