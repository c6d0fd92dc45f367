-- The last reported state of each attempt to pay an order that was paid more than once: a JSON array of
-- {attempt, sequence, status, captured, refunded} and, where they apply, failureCode, failureDetail and shown.
-- Empty for an order with a single attempt, whose state is in the other columns.

SET @alter_orders = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'orders' AND column_name = 'attempts') > 0,
    'DO 0',
    'ALTER TABLE orders ADD COLUMN attempts JSON NOT NULL DEFAULT (\'[]\')');

PREPARE alter_orders FROM @alter_orders;

EXECUTE alter_orders;

DEALLOCATE PREPARE alter_orders;
