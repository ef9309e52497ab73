-- Backups that somebody deleted and that are still in the vault for a while, so that they can be brought back. `backup`,
-- `manifest`: as in `backups`, where these are not. `deleted`: milliseconds since 1970, UTC.
CREATE TABLE deleted_backups (
    storage TEXT NOT NULL,
    id TEXT NOT NULL,
    deleted BIGINT NOT NULL,
    deleted_by TEXT NOT NULL,
    backup TEXT NOT NULL,
    manifest TEXT,
    PRIMARY KEY (storage, id)
);
