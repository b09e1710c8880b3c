package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// ErrNewer is wrapped by the error of [Open] for a database whose schema is
// newer than this version of the package knows. Nothing was changed in it.
var ErrNewer = errors.New("sqlstore: database was written by a newer version")

// migrations holds files NNNN_what.sql, numbered from 0001 without gaps. A file
// that was released never changes; there is no way back.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to that of the newest file in files, each step in a
// transaction of its own together with its line in the table migration.
func migrate(ctx context.Context, c *sql.Conn, files fs.FS) error {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, c)
	if err != nil {
		return err
	}
	if version > len(names) {
		return fmt.Errorf("%w: schema %d, known up to %d", ErrNewer, version, len(names))
	}
	for i, name := range names[version:] {
		name = strings.TrimPrefix(name, "migrations/")
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n != version+i+1 {
			return fmt.Errorf("sqlstore: migration %s is not number %d", name, version+i+1)
		}
		if err := step(ctx, c, files, name, version+i+1); err != nil {
			return fmt.Errorf("sqlstore: migration %s: %w", name, err)
		}
	}
	return nil
}

// schemaVersion reads the number of the last migration, 0 for an empty file. It
// refuses a database that is somebody else's.
func schemaVersion(ctx context.Context, c *sql.Conn) (version int, err error) {
	var ours, tables int
	const look = "SELECT coalesce(sum(name = 'migration'), 0), count(*) FROM sqlite_schema WHERE type = 'table'"
	if err := c.QueryRowContext(ctx, look).Scan(&ours, &tables); err != nil {
		return 0, fmt.Errorf("sqlstore: read schema: %w", err)
	}
	switch {
	case tables == 0:
		return 0, nil
	case ours == 0:
		return 0, errors.New("sqlstore: the file is another program's database")
	}
	if err := c.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM migration").Scan(&version); err != nil {
		return 0, fmt.Errorf("sqlstore: read schema version: %w", err)
	}
	return version, nil
}

// step applies one file.
func step(ctx context.Context, c *sql.Conn, files fs.FS, name string, version int) error {
	text, err := fs.ReadFile(files, "migrations/"+name)
	if err != nil {
		return err
	}
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // an error after Commit says only that it is done
	const table = "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied INTEGER NOT NULL) STRICT"
	if _, err := tx.ExecContext(ctx, table); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	const line = "INSERT INTO migration (version, name, applied) VALUES (?, ?, ?)"
	if _, err := tx.ExecContext(ctx, line, version, name, time.Now().UnixMicro()); err != nil {
		return err
	}
	return tx.Commit()
}
