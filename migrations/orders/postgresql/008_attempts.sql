-- What was heard of each attempt to pay an order that was paid more than once: a JSON array of {attempt,
-- sequence, status, captured, refunded} and, where there are any, failureCode, failureDetail and shown. Empty
-- for an order with a single attempt, of which the other columns say everything.

ALTER TABLE orders ADD COLUMN attempts json NOT NULL DEFAULT '[]';
