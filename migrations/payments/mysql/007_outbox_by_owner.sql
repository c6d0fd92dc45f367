-- Dead letters by age, for their list. Rows of the outbox have their index by owner from the beginning.

-- Every statement may be run again, and MySQL has no CREATE INDEX IF NOT EXISTS.
SET @index_dead_letters = IF(
    (SELECT COUNT(*) FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = 'dead_letters' AND index_name = 'dead_letters_by_age') = 0,
    'ALTER TABLE dead_letters ADD KEY dead_letters_by_age (dead_at, event_id)',
    'DO 0');

PREPARE index_dead_letters FROM @index_dead_letters;

EXECUTE index_dead_letters;

DEALLOCATE PREPARE index_dead_letters;
