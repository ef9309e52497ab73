-- What people say of backups. A snapshot never changes, so this is kept here, and is not in the vault.
-- `note` NULL = the one that was given when the backup was made.
CREATE TABLE marks (
    storage TEXT NOT NULL,
    id TEXT NOT NULL,
    pinned BOOLEAN NOT NULL,
    note TEXT,
    PRIMARY KEY (storage, id)
);
