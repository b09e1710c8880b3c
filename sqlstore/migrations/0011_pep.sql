-- Nodes of accounts (XEP-0163). What a configuration says beside the defaults is text,
-- a line for each value.
CREATE TABLE pep_node (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    config  TEXT    NOT NULL,
    created INTEGER NOT NULL,
    creator TEXT    NOT NULL,
    seq     INTEGER NOT NULL, -- the highest of any item there was
    bytes   INTEGER NOT NULL,
    last    INTEGER NOT NULL, -- whether the last item is sent with presence
    UNIQUE (account, name)
) STRICT;
CREATE INDEX pep_node_last ON pep_node (account, name) WHERE last = 1;

CREATE TABLE pep_item (
    id        INTEGER PRIMARY KEY,
    node      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    seq       INTEGER NOT NULL, -- the order of publication
    at        INTEGER NOT NULL,
    publisher TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    payload   TEXT    NOT NULL,
    UNIQUE (node, name)
) STRICT;
CREATE UNIQUE INDEX pep_item_seq ON pep_item (node, seq);

-- Who has to do with a node: affiliation, subscription or both.
CREATE TABLE pep_peer (
    node         INTEGER NOT NULL,
    jid          TEXT    NOT NULL,
    bare         TEXT    NOT NULL,
    affiliation  INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    options      INTEGER NOT NULL, -- 1: temporary, 2: silent
    bounces      INTEGER NOT NULL,
    PRIMARY KEY (node, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX pep_peer_bare ON pep_peer (bare);
