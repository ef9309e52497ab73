CREATE TABLE backups_per_storage (
    storage TEXT NOT NULL,
    id TEXT NOT NULL,
    filename TEXT NOT NULL,
    container TEXT NOT NULL,
    server TEXT NOT NULL,
    created BIGINT NOT NULL,
    backup TEXT NOT NULL,
    manifest TEXT,
    PRIMARY KEY (storage, id)
);
INSERT INTO backups_per_storage (storage, id, filename, container, server, created, backup, manifest)
SELECT storage, id, filename, container, server, created, backup, manifest FROM backups;
DROP TABLE backups;
ALTER TABLE backups_per_storage RENAME TO backups;
CREATE INDEX backups_by_container ON backups (server, container, created);
CREATE INDEX backups_by_filename ON backups (filename);
CREATE INDEX backups_by_id ON backups (id);
