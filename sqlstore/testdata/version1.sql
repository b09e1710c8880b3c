-- A database of schema version 1, as the first release wrote it. Do not change.
CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL) STRICT;
INSERT INTO migration VALUES (1, '0001_initial.sql', 1700000000000000);
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('generation', 0);
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE credential (
    account    TEXT PRIMARY KEY,
    domain     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    disabled   INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_domain ON credential (domain, account);
CREATE TABLE credential_key (
    account    TEXT    NOT NULL REFERENCES credential (account) ON DELETE CASCADE,
    mechanism  TEXT    NOT NULL,
    iterations INTEGER NOT NULL,
    salt       BLOB    NOT NULL,
    stored_key BLOB    NOT NULL,
    server_key BLOB    NOT NULL,
    PRIMARY KEY (account, mechanism)
) STRICT, WITHOUT ROWID;
CREATE TABLE roster (
    account TEXT PRIMARY KEY,
    ver     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE roster_item (
    account      TEXT    NOT NULL REFERENCES roster (account) ON DELETE CASCADE,
    contact      TEXT    NOT NULL,
    ver          INTEGER NOT NULL,
    removed      INTEGER NOT NULL DEFAULT 0,
    name         TEXT    NOT NULL DEFAULT '',
    groups       TEXT    NOT NULL DEFAULT '',
    subscription INTEGER NOT NULL DEFAULT 0,
    ask          INTEGER NOT NULL DEFAULT 0,
    approved     INTEGER NOT NULL DEFAULT 0,
    listed       INTEGER NOT NULL DEFAULT 0,
    request      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_removed ON roster_item (account, ver) WHERE removed = 1;
CREATE TABLE session (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    until   INTEGER,
    data    BLOB NOT NULL
) STRICT;
CREATE INDEX session_account ON session (account);
UPDATE counter SET value = 7 WHERE name = 'generation';
INSERT INTO secret VALUES ('app/a', x'000102030405060708090a0b0c0d0e0f');
INSERT INTO credential VALUES ('juliet@example.net', 'example.net', 7, 1, 1600000000000000, 1700000000000000);
INSERT INTO credential_key VALUES ('juliet@example.net', 'SCRAM-SHA-1', 4096, CAST('saltsalt' AS BLOB), zeroblob(20), zeroblob(20));
INSERT INTO roster VALUES ('juliet@example.net', 5);
INSERT INTO roster_item VALUES ('juliet@example.net', 'romeo@example.org', 4, 0, 'Romeo', '["a","b"]', 3, 0, 1, 1, '');
INSERT INTO roster_item (account, contact, ver, removed) VALUES ('juliet@example.net', 'nurse@example.net', 5, 1);
INSERT INTO session VALUES ('s1', 'juliet@example.net', 'juliet@example.net/balcony', 1700000000000000, CAST('data' AS BLOB));
