CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL,
    default_password BOOLEAN NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE settings (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

-- One row per job. `unsettled`: the journal is not empty, something is to be brought back. Times are milliseconds since 1970, UTC. `request`, `journal`
-- are JSON of the types in src/model/run.rs.
CREATE TABLE runs (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    subject TEXT NOT NULL,
    request TEXT NOT NULL,
    journal TEXT NOT NULL,
    unsettled BOOLEAN NOT NULL,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    backup_id TEXT,
    backup_filename TEXT,
    error TEXT,
    bytes BIGINT NOT NULL
);
CREATE INDEX runs_by_state ON runs (state, created);
CREATE INDEX runs_unsettled ON runs (unsettled) WHERE unsettled;

CREATE TABLE run_notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX run_notes_by_run ON run_notes (run_id, id);

-- The catalog: what the vault lists, and manifests that were read before.
-- It can be thrown away and rebuilt from the vault.
CREATE TABLE backups (
    id TEXT PRIMARY KEY NOT NULL,
    filename TEXT NOT NULL,
    container TEXT NOT NULL,
    server TEXT NOT NULL,
    created BIGINT NOT NULL,
    backup TEXT NOT NULL,
    manifest TEXT
);
CREATE INDEX backups_by_container ON backups (server, container, created);
CREATE INDEX backups_by_filename ON backups (filename);

-- Who did what. Written in the transaction of the change where there is one.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    at BIGINT NOT NULL,
    operation TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    details TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);
