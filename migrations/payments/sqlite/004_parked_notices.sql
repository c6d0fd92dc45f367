-- What the provider told of payments that are not stored here, kept for a while in case they come.

CREATE TABLE parked_notices (
    event_id    TEXT   NOT NULL PRIMARY KEY,
    payment_id  TEXT   NOT NULL,
    received_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX parked_notices_by_payment ON parked_notices (payment_id);

CREATE INDEX parked_notices_by_age ON parked_notices (received_at);
