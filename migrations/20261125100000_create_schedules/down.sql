DROP INDEX runs_by_schedule_run;
ALTER TABLE runs DROP COLUMN schedule_run;
DROP TABLE schedule_runs;
DROP TABLE schedules;
