DROP INDEX audit_by_time;
CREATE INDEX audit_by_time ON audit (at);
DROP INDEX audit_by_target;
DROP INDEX audit_by_actor;
DROP INDEX audit_by_outcome;
DROP INDEX audit_by_operation;
ALTER TABLE runs DROP COLUMN address;
ALTER TABLE audit DROP COLUMN hash;
