-- Each entry carries a hash over itself and the hash of the entry before it; see src/model/audit.rs. Entries from
-- before this migration have none.
ALTER TABLE audit ADD COLUMN hash TEXT NOT NULL DEFAULT '';

-- Client's address of who asked, for the entry that tells how the job ended.
ALTER TABLE runs ADD COLUMN address TEXT NOT NULL DEFAULT '';

-- Every index ends with the id, which is the order of the page.
CREATE INDEX audit_by_operation ON audit (operation);
CREATE INDEX audit_by_outcome ON audit (outcome);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_target ON audit (target);
DROP INDEX audit_by_time;
CREATE INDEX audit_by_time ON audit (at, outcome);
