-- Installations of programs that have logged in (XEP-0494), with their tokens
-- (XEP-0484). A slot is empty where there is no token; it is nothing that could be
-- logged in with.
CREATE TABLE client (
    account            TEXT    NOT NULL,
    id                 TEXT    NOT NULL,
    version            INTEGER NOT NULL,
    software           TEXT    NOT NULL,
    device             TEXT    NOT NULL,
    first              INTEGER NOT NULL,
    last               INTEGER NOT NULL,
    password           INTEGER NOT NULL, -- generation of the credentials proved, 0 for none
    new_slot           TEXT    NOT NULL,
    new_mechanism      TEXT    NOT NULL,
    new_generation     INTEGER NOT NULL,
    new_issued         INTEGER NOT NULL,
    new_expires        INTEGER NOT NULL,
    new_least          INTEGER NOT NULL,
    current_slot       TEXT    NOT NULL,
    current_mechanism  TEXT    NOT NULL,
    current_generation INTEGER NOT NULL,
    current_issued     INTEGER NOT NULL,
    current_expires    INTEGER NOT NULL,
    current_least      INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_last ON client (last);
