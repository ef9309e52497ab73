CREATE TABLE backups_of_one_storage (
    id TEXT PRIMARY KEY NOT NULL,
    filename TEXT NOT NULL,
    container TEXT NOT NULL,
    server TEXT NOT NULL,
    created BIGINT NOT NULL,
    backup TEXT NOT NULL,
    manifest TEXT
);
INSERT INTO backups_of_one_storage (id, filename, container, server, created, backup, manifest)
SELECT id, filename, container, server, created, backup, manifest FROM backups WHERE storage = 'local';
DROP TABLE backups;
ALTER TABLE backups_of_one_storage RENAME TO backups;
CREATE INDEX backups_by_container ON backups (server, container, created);
CREATE INDEX backups_by_filename ON backups (filename);
