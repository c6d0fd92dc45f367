-- Which instance publishes what: a row of the outbox belongs to the instance that has it in memory, or to
-- nobody ('').

ALTER TABLE outbox ADD COLUMN owner text NOT NULL DEFAULT '';

CREATE INDEX outbox_by_key ON outbox (ordering_key, owner);

CREATE INDEX outbox_unowned ON outbox (seq) WHERE owner = '';

-- The instances that live. Each counts its heartbeat up, and the others see that it does.
CREATE TABLE relay_instances (
    id        text NOT NULL PRIMARY KEY,
    heartbeat bigint NOT NULL
) WITH (fillfactor = 50);

-- Nobody, whose rows are taken by one instance at a time: by the one that has this row locked.
INSERT INTO relay_instances (id, heartbeat) VALUES ('', 0);

