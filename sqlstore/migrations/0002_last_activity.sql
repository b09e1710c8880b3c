-- When accounts were last there, and what they said then.
CREATE TABLE last_activity (
    account TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    status  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- When the contact was last asked for a subscription, 0 if that is not known.
ALTER TABLE roster_item ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
