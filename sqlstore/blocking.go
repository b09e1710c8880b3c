package sqlstore

import (
	"context"
	"fmt"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
)

var _ blocking.Store = (*Blocklists)(nil)

// Blocklists keeps what accounts have blocked; see [DB.Blocklists].
type Blocklists struct{ d *DB }

// Blocklists returns the store of package blocking. Its writes are for Submit of the
// same DB. Load sees all that was submitted before it, and waits for that.
func (d *DB) Blocklists() *Blocklists { return &Blocklists{d} }

// Load implements [blocking.Store]. Addresses come in the order of their texts.
func (s *Blocklists) Load(ctx context.Context, account mux.Address) ([]mux.Address, error) {
	items, err := s.read(ctx, account.String())
	if err != nil {
		return nil, fmt.Errorf("sqlstore: load blocklist of %s: %w", account, err)
	}
	return items, nil
}

func (s *Blocklists) read(ctx context.Context, account string) (items []mux.Address, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, "SELECT address FROM blocked WHERE account = ? ORDER BY address", account)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		a, err := mux.ParseAddress(text)
		if err != nil {
			return nil, err
		}
		items = append(items, a)
	}
	return items, rows.Err()
}

// Add implements [blocking.Store].
func (s *Blocklists) Add(account mux.Address, items []mux.Address) mux.Write {
	return eachItem(account, items, "INSERT OR IGNORE INTO blocked (account, address) VALUES (?, ?)")
}

// Remove implements [blocking.Store].
func (s *Blocklists) Remove(account mux.Address, items []mux.Address) mux.Write {
	return eachItem(account, items, "DELETE FROM blocked WHERE account = ? AND address = ?")
}

// RemoveAccount implements [blocking.Store].
func (s *Blocklists) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM blocked WHERE account = ?", account.String())
		}
		return err
	}
}

// eachItem runs a statement for each address of a list.
func eachItem(account mux.Address, items []mux.Address, query string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		for _, a := range items {
			if _, err := t.Exec(ctx, query, account.String(), a.String()); err != nil {
				return err
			}
		}
		return nil
	}
}

var _ blocking.Reverse = (*Blocklists)(nil)

// Blockers implements [blocking.Reverse], with one query.
func (s *Blocklists) Blockers(ctx context.Context, contact mux.Address, accounts []mux.Address) (l []mux.Address, err error) {
	if err = s.d.settle(ctx); err == nil {
		l, err = s.blockers(ctx, texts(accounts), list(blocking.Covering(contact)))
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: who blocks %s: %w", contact, err)
	}
	return l, nil
}

func (s *Blocklists) blockers(ctx context.Context, accounts, items string) (l []mux.Address, err error) {
	const query = `SELECT a.value FROM json_each(?1) a
WHERE EXISTS (SELECT 1 FROM blocked b WHERE b.account = a.value AND b.address IN (SELECT value FROM json_each(?2)))`
	rows, err := s.d.read.QueryContext(ctx, query, accounts, items)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		a, err := stored(text)
		if err != nil {
			return nil, err
		}
		l = append(l, a)
	}
	return l, rows.Err()
}
