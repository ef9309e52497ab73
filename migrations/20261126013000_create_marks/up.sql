-- What is known of backups beside what is in the vault: a snapshot never changes.
-- `verified`: milliseconds since 1970, UTC; `damage` NULL = nothing is known to be lost.
-- `note` NULL = the one that was given when the backup was made.
CREATE TABLE marks (
    storage TEXT NOT NULL,
    id TEXT NOT NULL,
    pinned BOOLEAN NOT NULL,
    note TEXT,
    verified BIGINT,
    damage TEXT,
    PRIMARY KEY (storage, id)
);
