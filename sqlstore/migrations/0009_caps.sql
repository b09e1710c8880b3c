-- What hashes of capabilities stand for (XEP-0115, XEP-0390). Nothing in it is about an
-- account. Features are joined by U+001F, which no XML can contain.
CREATE TABLE caps (
    proto    INTEGER NOT NULL,
    algo     TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    features TEXT    NOT NULL,
    seen     INTEGER NOT NULL,
    PRIMARY KEY (proto, algo, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX caps_seen ON caps (seen);
