-- SQLite's REPLACE removes the row that is in its way without asking the trigger that refuses removals. The
-- other engines ask theirs, or have no such statement.

CREATE TRIGGER ledger_entries_never_replaced BEFORE INSERT ON ledger_entries
WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE chain = NEW.chain AND seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'ledger entries never change');
END;
