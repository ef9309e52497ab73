-- `plan` is JSON of the type in src/model/schedule.rs. Slots up to `since` are not owed. Times are milliseconds since
-- 1970, UTC.
CREATE TABLE schedules (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    enabled BOOLEAN NOT NULL,
    plan TEXT NOT NULL,
    created BIGINT NOT NULL,
    since BIGINT NOT NULL
);

-- One row each time a schedule ran; stays when the schedule is deleted. `report` is JSON of the type in
-- src/model/schedule_run.rs.
CREATE TABLE schedule_runs (
    id TEXT PRIMARY KEY NOT NULL,
    schedule TEXT NOT NULL,
    name TEXT NOT NULL,
    slot BIGINT,
    cause TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    started BIGINT NOT NULL,
    finished BIGINT,
    report TEXT NOT NULL
);
-- No slot twice, whatever happens.
CREATE UNIQUE INDEX schedule_runs_by_slot ON schedule_runs (schedule, slot) WHERE slot IS NOT NULL;
CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule, id);
CREATE INDEX schedule_runs_unfinished ON schedule_runs (schedule) WHERE finished IS NULL;

ALTER TABLE runs ADD COLUMN schedule_run TEXT;
CREATE INDEX runs_by_schedule_run ON runs (schedule_run) WHERE schedule_run IS NOT NULL;
