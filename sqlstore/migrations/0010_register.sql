-- When an account is to be removed, 0 for never.
ALTER TABLE credential ADD COLUMN closing INTEGER NOT NULL DEFAULT 0;
CREATE INDEX credential_closing ON credential (account) WHERE closing <> 0;

-- What the names of accounts look like (UTS 39); filled in by the program.
CREATE TABLE account_name (
    account  TEXT PRIMARY KEY,
    domain   TEXT NOT NULL,
    skeleton TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX account_name_skeleton ON account_name (domain, skeleton);

-- Names that were somebody's, as SHA-256 of the address.
CREATE TABLE removed_name (
    hash    BLOB PRIMARY KEY,
    removed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Invitations, by SHA-256 of the token. Without an inviter they are the operator's.
CREATE TABLE invite (
    id           BLOB PRIMARY KEY,
    kind         INTEGER NOT NULL,
    domain       TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    inviter      TEXT    NOT NULL,
    may_register INTEGER NOT NULL,
    befriend     INTEGER NOT NULL,
    uses         INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    note         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_inviter ON invite (inviter, created);
CREATE INDEX invite_name ON invite (domain, name) WHERE name <> '';
CREATE INDEX invite_expires ON invite (expires);

-- Accounts that wait for the operator's approval.
CREATE TABLE application (
    account TEXT PRIMARY KEY,
    reason  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who was invited by whom; befriend = 1 while they are not contacts yet.
CREATE TABLE guest (
    account  TEXT PRIMARY KEY,
    inviter  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    befriend INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guest_inviter ON guest (inviter, at);
