-- What the provider told of payments that are not stored here, kept for a while in case they come.

CREATE TABLE IF NOT EXISTS parked_notices (
    event_id    VARCHAR(255) NOT NULL PRIMARY KEY,
    payment_id  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    received_at BIGINT NOT NULL,
    KEY parked_notices_by_payment (payment_id),
    KEY parked_notices_by_age (received_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
