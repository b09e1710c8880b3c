package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/propolis-im/propolis/register"
)

// skeletonData is where the database keeps with which data the skeletons of its names
// were made; no name that Secret uses.
const skeletonData = "skeletons"

// nameAccount notes what the name of a new account looks like.
func nameAccount(ctx context.Context, tx *Tx, account string) error {
	local, domain, _ := strings.Cut(account, "@")
	_, err := tx.Exec(ctx, "INSERT OR REPLACE INTO account_name (account, domain, skeleton) VALUES (?, ?, ?)",
		account, domain, register.Skeleton(local))
	return err
}

// nameAccounts notes what names look like for all accounts that are older than that, or
// than the data it is made with.
func (d *DB) nameAccounts(ctx context.Context) error {
	err := d.do(ctx, func(ctx context.Context, tx *Tx) error {
		switch value, err := readSecret(ctx, tx, skeletonData); {
		case err != nil:
			return err
		case string(value) == register.SkeletonData:
			return nil
		}
		err := d.rows(ctx, "SELECT account FROM credential", nil, func(rows *sql.Rows) error {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			return nameAccount(ctx, tx, name)
		})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			skeletonData, []byte(register.SkeletonData))
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: names of accounts: %w", err)
	}
	return nil
}
