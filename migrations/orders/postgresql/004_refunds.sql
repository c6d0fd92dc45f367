-- What was captured, and the refunds that are under way.

ALTER TABLE orders
    ADD COLUMN captured_amount bigint NOT NULL DEFAULT 0,
    ADD COLUMN refund_reserved bigint NOT NULL DEFAULT 0 CHECK (refund_reserved >= 0),
    -- A JSON array of {id, amount}; the amounts sum to refund_reserved.
    ADD COLUMN open_refunds json NOT NULL DEFAULT '[]';

UPDATE orders SET captured_amount = total_amount
WHERE payment_status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED');

ALTER TABLE orders
    ADD CHECK (captured_amount BETWEEN 0 AND total_amount),
    ADD CHECK (refunded_amount <= captured_amount AND refund_reserved <= captured_amount);
