-- When the cancellation of a payment was stored; no charge is sent after it. 0 stands for "none".

ALTER TABLE payments ADD COLUMN cancel_requested_at bigint NOT NULL DEFAULT 0;

UPDATE payments SET cancel_requested_at = updated_at WHERE cancel_requested = 1;
