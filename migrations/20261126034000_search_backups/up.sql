-- What lists are searched, filtered and sorted by, so that no list needs to read the JSON of all backups. `search` is
-- the lower-case text that a search looks into; see `src/db/backups/page.rs`. Short columns come first: the rest of a
-- long row lies on other pages.
CREATE TABLE backups_to_search (
    storage TEXT NOT NULL,
    id TEXT NOT NULL,
    filename TEXT NOT NULL,
    kind TEXT NOT NULL,
    container TEXT NOT NULL,
    server TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    state TEXT NOT NULL,
    schedule TEXT,
    created BIGINT NOT NULL,
    size BIGINT NOT NULL,
    stored_size BIGINT NOT NULL,
    search TEXT NOT NULL,
    backup TEXT NOT NULL,
    manifest TEXT,
    PRIMARY KEY (storage, id)
);
INSERT INTO backups_to_search
SELECT storage, id, filename, json_extract(backup, '$.meta.kind'), container, server,
    json_extract(backup, '$.trigger'), json_extract(backup, '$.meta.state'), json_extract(backup, '$.meta.schedule'),
    created, json_extract(backup, '$.size'), json_extract(backup, '$.stored_size'),
    -- Letters beyond ASCII become small when the vault is listed again, at the next start.
    lower(container || char(10) || filename || char(10) || server || char(10)
        || coalesce(json_extract(backup, '$.meta.image'), '') || char(10)
        || coalesce((SELECT note FROM marks WHERE marks.storage = backups.storage AND marks.id = backups.id),
            json_extract(backup, '$.meta.note'), '') || char(10)
        || coalesce(json_extract(backup, '$.meta.stack'), '') || char(10)
        || json_extract(backup, '$.trigger') || char(10) || json_extract(backup, '$.meta.kind') || char(10)
        || replace(json_extract(backup, '$.meta.state'), '_', ' ') || char(10) || storage || char(10)
        || strftime('%Y-%m-%d %H:%M', created / 1000, 'unixepoch') || char(10) || id),
    backup, manifest
FROM backups;
DROP TABLE backups;
ALTER TABLE backups_to_search RENAME TO backups;
CREATE INDEX backups_by_container ON backups (server, container, created, kind, state, triggered_by, storage, id);
CREATE INDEX backups_by_filename ON backups (filename);
CREATE INDEX backups_by_id ON backups (id);
CREATE INDEX backups_by_schedule ON backups (schedule, storage, container) WHERE schedule IS NOT NULL;
CREATE INDEX backups_by_size ON backups (storage, server, size, stored_size);
-- Holds all that a search needs.
CREATE INDEX backups_to_search ON backups (
    created, id, storage, kind, container, server, triggered_by, state, size, stored_size, search
);
