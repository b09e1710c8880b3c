-- XML that clients keep for themselves, by namespace and name.
CREATE TABLE private_xml (
    account TEXT NOT NULL,
    space   TEXT NOT NULL,
    name    TEXT NOT NULL,
    xml     TEXT NOT NULL,
    PRIMARY KEY (account, space, name)
) STRICT;

-- The visiting cards of accounts.
CREATE TABLE vcard (
    account TEXT PRIMARY KEY,
    xml     TEXT NOT NULL
) STRICT;
