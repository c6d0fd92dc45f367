-- What is wanted of a payment and what was seen of it at the provider, apart; and no constraint over what was
-- seen.
-- Times are milliseconds since 1970 in UTC; amounts are whole minor units; '' and 0 stand for "none".

DO $$
DECLARE
    constraint_name name;
BEGIN
    FOR constraint_name IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'payments'::regclass AND contype = 'c'
          AND pg_get_constraintdef(oid) LIKE '%captured_amount%'
    LOOP
        EXECUTE format('ALTER TABLE payments DROP CONSTRAINT %I', constraint_name);
    END LOOP;
END
$$;

DROP INDEX payments_active;

-- Most payments are captured: with this default their rows are not written.
ALTER TABLE payments
    ADD COLUMN closed_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN charge_sent bigint NOT NULL DEFAULT 1 CHECK (charge_sent IN (0, 1)),
    ADD COLUMN provider_state text NOT NULL DEFAULT 'CAPTURED'
        CHECK (provider_state IN ('NONE', 'ABSENT', 'OPEN', 'PROCESSING', 'AUTHORIZED', 'CANCELED', 'CAPTURED')),
    ADD CHECK (captured_amount >= 0),
    ADD CHECK (refunded_amount >= 0),
    ADD CHECK (refund_reserved >= 0),
    ADD CHECK (capture_requested BETWEEN 0 AND amount);

ALTER TABLE payments ALTER COLUMN provider_state SET DEFAULT 'NONE';

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
WHERE status NOT IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED');

UPDATE payments SET closed_at = updated_at
WHERE EXISTS (SELECT 1 FROM payments AS later
              WHERE later.order_id = payments.order_id AND later.attempt > payments.attempt);

-- What is wanted: of the attempts to pay an order, all but one are ended. What was seen can always be stored.
CREATE UNIQUE INDEX payments_not_ended ON payments (order_id) WHERE closed_at = 0 AND cancel_requested = 0;
