-- Rows of the outbox by owner, so that owners are found without reading the table; the index of unowned rows
-- is part of it. Dead letters by age, for their list.

CREATE INDEX outbox_by_owner ON outbox (owner, seq);

DROP INDEX outbox_unowned;

CREATE INDEX dead_letters_by_age ON dead_letters (dead_at, event_id);
