-- What was captured, and the refunds that are under way.

-- One statement changes the table, and only when it was not changed before.
SET @alter_orders = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'orders' AND column_name = 'open_refunds') > 0,
    'DO 0',
    'ALTER TABLE orders
         ADD COLUMN captured_amount BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN refund_reserved BIGINT NOT NULL DEFAULT 0 CHECK (refund_reserved >= 0),
         ADD COLUMN open_refunds JSON NOT NULL DEFAULT (\'[]\')');

PREPARE alter_orders FROM @alter_orders;

EXECUTE alter_orders;

DEALLOCATE PREPARE alter_orders;

UPDATE orders SET captured_amount = total_amount
WHERE payment_status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED') AND captured_amount = 0;

SET @check_orders = IF(
    (SELECT COUNT(*) FROM information_schema.table_constraints WHERE table_schema = DATABASE()
     AND table_name = 'orders' AND constraint_name = 'orders_captured') > 0,
    'DO 0',
    'ALTER TABLE orders
         ADD CONSTRAINT orders_captured CHECK (captured_amount BETWEEN 0 AND total_amount),
         ADD CONSTRAINT orders_refunded CHECK (refunded_amount <= captured_amount AND refund_reserved <= captured_amount)');

PREPARE check_orders FROM @check_orders;

EXECUTE check_orders;

DEALLOCATE PREPARE check_orders;
