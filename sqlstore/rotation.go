package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EarlierSecret is a secret that another one has taken the place of.
type EarlierSecret struct {
	Value []byte
	Until time.Time
}

// earlierSecrets begins the names of those of a secret; what follows is a number of
// microseconds.
func earlierSecrets(name string) (from, to string) {
	name = fmt.Sprintf("old/%d/%s", len(name), name) // so none begins with another
	return name + "/", name + "0"                    // 0 is behind the slash
}

// RotateSecret puts another random secret of the same size into the place of one of
// [DB.Secret], which must be there and is kept, see [DB.EarlierSecrets]. It waits for the
// commit, so it must not be called from a write or a notification.
func (d *DB) RotateSecret(ctx context.Context, name string) error {
	return d.do(ctx, func(ctx context.Context, tx *Tx) error {
		value, err := readSecret(ctx, tx, "app/"+name)
		if err != nil {
			return err
		}
		if value == nil {
			return fmt.Errorf("sqlstore: no secret %s", name)
		}
		prefix, _ := earlierSecrets(name)
		if _, err := tx.Exec(ctx, "INSERT INTO secret (name, value) VALUES (?, ?)", prefix+strconv.FormatInt(time.Now().UnixMicro(), 10), value); err != nil {
			return err
		}
		next := make([]byte, len(value))
		rand.Read(next) // never fails
		_, err = tx.Exec(ctx, "UPDATE secret SET value = ? WHERE name = ?", next, "app/"+name)
		return err
	})
}

// EarlierSecrets returns those that were there before, for scram.Options.Earlier, the
// oldest first.
func (d *DB) EarlierSecrets(ctx context.Context, name string) (list []EarlierSecret, err error) {
	from, to := earlierSecrets(name)
	err = d.each(ctx, "earlier secrets", "SELECT name, value FROM secret WHERE name > ? AND name < ? ORDER BY length(name), name", []any{from, to}, func(rows *sql.Rows) error {
		var s EarlierSecret
		var at string
		if err := rows.Scan(&at, &s.Value); err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(at, from), 10, 64)
		if err != nil {
			return err
		}
		s.Until = time.UnixMicro(n)
		list = append(list, s)
		return nil
	})
	return list, err
}

// DropSecrets forgets the earlier secrets of that name, as after they have become known
// to others. It waits for the commit like RotateSecret.
func (d *DB) DropSecrets(ctx context.Context, name string) error {
	from, to := earlierSecrets(name)
	return d.do(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM secret WHERE name > ? AND name < ?", from, to)
		return err
	})
}
