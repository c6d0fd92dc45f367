-- What was captured, and the refunds that are under way.

ALTER TABLE orders ADD COLUMN captured_amount BIGINT NOT NULL DEFAULT 0
    CHECK (captured_amount BETWEEN 0 AND total_amount);

UPDATE orders SET captured_amount = total_amount
WHERE payment_status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED');

ALTER TABLE orders ADD COLUMN refund_reserved BIGINT NOT NULL DEFAULT 0 CHECK (refund_reserved >= 0);

-- A JSON array of {id, amount}; the amounts sum to refund_reserved.
ALTER TABLE orders ADD COLUMN open_refunds TEXT NOT NULL DEFAULT '[]'
    CHECK (json_valid(open_refunds) AND refunded_amount <= captured_amount AND refund_reserved <= captured_amount);
