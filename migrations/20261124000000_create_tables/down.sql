DROP TABLE audit;
DROP TABLE backups;
DROP TABLE run_notes;
DROP TABLE runs;
DROP TABLE settings;
DROP TABLE users;
