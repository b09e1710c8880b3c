-- What sessions have to know to be resumed (XEP-0198), and the last word about
-- those that have ended, for clients that come too late.
CREATE TABLE smacks_session (
    session TEXT PRIMARY KEY,
    handled INTEGER NOT NULL DEFAULT 0,
    acked   INTEGER NOT NULL DEFAULT 0,
    through INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE smacks_entry (
    session TEXT    NOT NULL,
    row     INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    sent    INTEGER NOT NULL,
    item    BLOB    NOT NULL,
    tag     TEXT    NOT NULL, -- the same for copies of one message
    arrived INTEGER NOT NULL, -- one of them has reached a client
    PRIMARY KEY (session, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX smacks_entry_tag ON smacks_entry (tag) WHERE tag != '';

CREATE TABLE smacks_last (
    session TEXT PRIMARY KEY,
    account TEXT    NOT NULL,
    secret  BLOB    NOT NULL,
    h       INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX smacks_last_account ON smacks_last (account);
CREATE INDEX smacks_last_until ON smacks_last (until);
