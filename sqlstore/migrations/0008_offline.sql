-- Messages that wait for their account: whole, or what the archive calls them.
CREATE TABLE offline_message (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    uid     TEXT    NOT NULL, -- empty if the message is here
    item    BLOB    NOT NULL
) STRICT;
CREATE INDEX offline_message_account ON offline_message (account, at);
