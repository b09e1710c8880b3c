-- Bare addresses are prepared (RFC 7622) and compared octet by octet. Times are
-- microseconds since 1970. Every table with rows of an account has a column
-- "account" and is named in remove.go.

-- Counters survive the rows they number.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('generation', 0);

-- Secrets of the server, made at first use.
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Who can log in.
CREATE TABLE credential (
    account    TEXT PRIMARY KEY,
    domain     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    disabled   INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_domain ON credential (domain, account);

-- SCRAM keys, one for each hash function.
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

-- Contacts, and with removed = 1 the tombstones of those removed last.
CREATE TABLE roster_item (
    account      TEXT    NOT NULL REFERENCES roster (account) ON DELETE CASCADE,
    contact      TEXT    NOT NULL,
    ver          INTEGER NOT NULL,
    removed      INTEGER NOT NULL DEFAULT 0,
    name         TEXT    NOT NULL DEFAULT '',
    groups       TEXT    NOT NULL DEFAULT '', -- JSON array, empty for none
    subscription INTEGER NOT NULL DEFAULT 0,  -- 1 to, 2 from, 3 both
    ask          INTEGER NOT NULL DEFAULT 0,
    approved     INTEGER NOT NULL DEFAULT 0,
    listed       INTEGER NOT NULL DEFAULT 0,
    request      TEXT    NOT NULL DEFAULT '', -- the stanza of a pending request
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_removed ON roster_item (account, ver) WHERE removed = 1;

-- Sessions that can be resumed after a restart; until is NULL while one is live.
CREATE TABLE session (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    until   INTEGER,
    data    BLOB NOT NULL
) STRICT;
CREATE INDEX session_account ON session (account);
