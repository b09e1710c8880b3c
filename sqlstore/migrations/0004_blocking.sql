-- Addresses that accounts have blocked.
CREATE TABLE blocked (
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;
