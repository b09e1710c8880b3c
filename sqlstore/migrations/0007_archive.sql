-- Who has an archive. Numbers are never used again.
CREATE TABLE archive (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL UNIQUE
) STRICT;

-- Messages. The id is number * 2^36 + position, so that those of an archive are
-- together and in order. Positions begin with 1 and grow by one; times never
-- decrease within an archive, so they need no index.
CREATE TABLE archive_message (
    id       INTEGER PRIMARY KEY,
    uid      TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    peer     TEXT    NOT NULL, -- the bare address of the other side
    resource TEXT    NOT NULL, -- and its resource, empty for none
    stanza   BLOB    NOT NULL
) STRICT;
CREATE INDEX archive_message_uid ON archive_message (uid);
CREATE INDEX archive_message_peer ON archive_message (peer);

-- What is to be archived: default, and lists of addresses as JSON arrays.
CREATE TABLE archive_prefs (
    account TEXT PRIMARY KEY,
    other   TEXT NOT NULL,
    always  TEXT NOT NULL,
    never   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
