-- Which instance publishes what: a row of the outbox belongs to the instance that has it in memory, or to
-- nobody ('').

-- The instances that live. Each counts its heartbeat up, and the others see that it does.
CREATE TABLE IF NOT EXISTS relay_instances (
    id        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    heartbeat BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Nobody, whose rows are taken by one instance at a time: by the one that has this row locked.
INSERT IGNORE INTO relay_instances (id, heartbeat) VALUES ('', 0);

-- Every statement may be run again, and MySQL has no ADD COLUMN IF NOT EXISTS.
SET @alter_outbox = IF(
    (SELECT COUNT(*) FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'outbox' AND column_name = 'owner') = 0,
    'ALTER TABLE outbox ADD COLUMN owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''',
         ADD KEY outbox_by_key (ordering_key(64), owner), ADD KEY outbox_by_owner (owner, seq)',
    'DO 0');

PREPARE alter_outbox FROM @alter_outbox;

EXECUTE alter_outbox;

DEALLOCATE PREPARE alter_outbox;

