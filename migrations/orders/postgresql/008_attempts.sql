-- The last reported state of each attempt to pay an order that was paid more than once: a JSON array of
-- {attempt, sequence, status, captured, refunded} and, where they apply, failureCode, failureDetail and shown.
-- Empty for an order with a single attempt, whose state is in the other columns.

ALTER TABLE orders ADD COLUMN attempts json NOT NULL DEFAULT '[]';
