package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
)

// Bounds of the size of a secret, in octets.
const (
	MinSecret = 16
	MaxSecret = 1024
)

// Secret returns the server's secret of that name, size random octets that are
// made at first use and stay the same: for scram.Options.Secret and the like.
// It is an error if the secret has another size than asked for, or the size is
// not within MinSecret and MaxSecret. It waits for the commit, so it must not
// be called from a write or a notification.
func (d *DB) Secret(ctx context.Context, name string, size int) ([]byte, error) {
	if size < MinSecret || size > MaxSecret {
		return nil, fmt.Errorf("sqlstore: secret %s: size of %d octets", name, size)
	}
	var value []byte
	err := d.do(ctx, func(ctx context.Context, tx *Tx) (err error) {
		name := "app/" + name
		if value, err = readSecret(ctx, tx, name); err != nil || value != nil {
			return err
		}
		value = make([]byte, size)
		rand.Read(value) // never fails
		_, err = tx.Exec(ctx, "INSERT INTO secret (name, value) VALUES (?, ?)", name, value)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(value) != size {
		return nil, fmt.Errorf("sqlstore: secret %s has %d octets, not %d", name, len(value), size)
	}
	return value, nil
}

// readSecret returns nil if there is none.
func readSecret(ctx context.Context, tx *Tx, name string) (value []byte, err error) {
	err = tx.QueryRow(ctx, "SELECT value FROM secret WHERE name = ?", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}
