-- Who is told. `address` is sealed; `shown` is what of it is not secret. `schedule` NULL = about everything.
-- Times are milliseconds since 1970, UTC.
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    shown TEXT NOT NULL,
    wish TEXT NOT NULL,
    schedule TEXT,
    enabled BOOLEAN NOT NULL,
    last BIGINT,
    problem TEXT
);

-- Messages that have not arrived yet.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    channel BIGINT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    notice TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next BIGINT NOT NULL
);
CREATE INDEX notices_of_channel ON notices (channel, id);
