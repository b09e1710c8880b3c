package sqlstore

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// removals delete the rows of an account from every table that has any, but for
// its credentials. A test compares them with the schema.
var removals = []string{
	"DELETE FROM roster WHERE account = ?",
	"DELETE FROM roster_item WHERE account = ?",
	"DELETE FROM smacks_entry WHERE session IN (SELECT id FROM session WHERE account = ?)",
	"DELETE FROM smacks_session WHERE session IN (SELECT id FROM session WHERE account = ?)",
	"DELETE FROM smacks_last WHERE account = ?",
	"DELETE FROM session WHERE account = ?",
	"DELETE FROM last_activity WHERE account = ?",
	"DELETE FROM blocked WHERE account = ?",
	"DELETE FROM private_xml WHERE account = ?",
	"DELETE FROM vcard WHERE account = ?",
	"DELETE FROM client WHERE account = ?",
	"DELETE FROM archive_prefs WHERE account = ?",
	removeOffline,
	removePEP[0],
	removePEP[1],
	removePEP[2],
}

// RemoveAccountData removes whatever any store of this DB keeps of an account,
// named by its bare address, except its credentials, which [Accounts.Remove]
// removes together with all this. It is for the clean-up after the last session
// of a removed account has ended.
func (d *DB) RemoveAccountData(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		return removeData(ctx, t, account.Bare().String())
	}
}

func removeData(ctx context.Context, tx *Tx, account string) error {
	if err := removeArchive(ctx, tx, account); err != nil {
		return err
	}
	if err := removeRegistration(ctx, tx, account); err != nil {
		return err
	}
	for _, query := range removals {
		if _, err := tx.Exec(ctx, query, account); err != nil {
			return err
		}
	}
	return nil
}
