package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// The epoch tells clients whether the versions they remember are of this
// database. A restored backup counts the same versions for other changes, so it
// needs another epoch, and must be recognised however it was restored. Close
// leaves the identity of the file it closed in path.closed; where Open does not
// find its file to be that very one (it was replaced or written to, or the
// server was killed) it renews the epoch, and clients read their rosters in
// full once.

// sealed is the file with the identity of a database that was closed in order.
func sealed(path string) string { return path + ".closed" }

// seal notes the identity of a closed database.
func seal(path string) error {
	id := identity(path)
	if id == "" {
		return nil
	}
	if err := os.WriteFile(sealed(path), []byte(id), 0o600); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return nil
}

// intact reports whether the database is what was sealed last, and takes the
// seal away.
func intact(path string) bool {
	kept, err := os.ReadFile(sealed(path))
	if err != nil {
		return false
	}
	if err := os.Remove(sealed(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	id := identity(path)
	return id != "" && id == string(kept)
}

// renewEpoch returns the epoch, a new one unless the old one may be kept.
func (d *DB) renewEpoch(ctx context.Context, keep bool) (string, error) {
	const name = "epoch" // no name that Secret uses
	var epoch string
	err := d.do(ctx, func(ctx context.Context, tx *Tx) error {
		if keep {
			switch value, err := readSecret(ctx, tx, name); {
			case err != nil:
				return err
			case value != nil:
				epoch = string(value)
				return nil
			}
		}
		epoch = rand.Text()
		_, err := tx.Exec(ctx, "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, []byte(epoch))
		return err
	})
	return epoch, err
}
