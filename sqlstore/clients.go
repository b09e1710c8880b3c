package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

var _ sasl2.Store = (*Clients)(nil)

// Clients keeps the clients of accounts and their tokens; see [DB.Clients].
type Clients struct{ d *DB }

// Clients returns the store of package sasl2. Its writes are for Submit of the same
// DB; Clients sees all that was submitted before it, and waits for that. Put forgets
// clients of every account that were away for too long. Times are kept to the
// microsecond.
func (d *DB) Clients() *Clients { return &Clients{d} }

const clientColumns = `id, version, software, device, first, last, password,
new_slot, new_mechanism, new_generation, new_issued, new_expires, new_least,
current_slot, current_mechanism, current_generation, current_issued, current_expires, current_least`

// Clients implements [sasl2.Store].
func (s *Clients) Clients(ctx context.Context, account mux.Address) ([]sasl2.Client, error) {
	list, err := s.read(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: read clients of %s: %w", account, err)
	}
	return list, nil
}

func (s *Clients) read(ctx context.Context, account mux.Address) (list []sasl2.Client, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, "SELECT "+clientColumns+" FROM client WHERE account = ?", account.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		c, err := scanClient(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

func scanClient(rows *sql.Rows) (c sasl2.Client, err error) {
	var first, last, newIssued, newExpires, issued, expires int64
	n, o := &c.New, &c.Current
	err = rows.Scan(&c.ID, &c.Version, &c.Software, &c.Device, &first, &last, &c.Password,
		&n.Slot, &n.Mechanism, &n.Generation, &newIssued, &newExpires, &n.Least,
		&o.Slot, &o.Mechanism, &o.Generation, &issued, &expires, &o.Least)
	c.First, c.Last = fromMicro(first), fromMicro(last)
	n.Issued, n.Expires, o.Issued, o.Expires = fromMicro(newIssued), fromMicro(newExpires), fromMicro(issued), fromMicro(expires)
	return c, err
}

// Put implements [sasl2.Store].
func (s *Clients) Put(ctx context.Context, account mux.Address, c sasl2.Client, k sasl2.Keep) error {
	conflict := false
	err := s.d.do(ctx, func(ctx context.Context, tx *Tx) error {
		var err error
		if conflict, err = putClient(ctx, tx, account.String(), c); err != nil || conflict {
			return err
		}
		return forgetClients(ctx, tx, account.String(), c.ID, k)
	})
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: write client of %s: %w", account, err)
	case conflict:
		return sasl2.ErrConflict
	}
	return nil
}

func putClient(ctx context.Context, tx *Tx, account string, c sasl2.Client) (conflict bool, err error) {
	var version int64
	err = tx.QueryRow(ctx, "SELECT version FROM client WHERE account = ? AND id = ?", account, c.ID).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if version != c.Version {
		return true, nil
	}
	n, o := c.New, c.Current
	_, err = tx.Exec(ctx, "INSERT OR REPLACE INTO client (account, "+clientColumns+
		") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		account, c.ID, c.Version+1, c.Software, c.Device, toMicro(c.First), toMicro(c.Last), c.Password,
		n.Slot, n.Mechanism, n.Generation, toMicro(n.Issued), toMicro(n.Expires), n.Least,
		o.Slot, o.Mechanism, o.Generation, toMicro(o.Issued), toMicro(o.Expires), o.Least)
	return false, err
}

// forgetClients forgets those that are not to be kept beside the one that was
// written.
func forgetClients(ctx context.Context, tx *Tx, account, id string, k sasl2.Keep) error {
	if _, err := tx.Exec(ctx, "DELETE FROM client WHERE last < ? AND NOT (account = ? AND id = ?)", toMicro(k.Since), account, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM client WHERE account = ?1 AND id <> ?2 AND id NOT IN
(SELECT id FROM client WHERE account = ?1 AND id <> ?2 ORDER BY last DESC LIMIT ?3)`, account, id, max(k.Max, 1)-1)
	return err
}

// Remove implements [sasl2.Store].
func (s *Clients) Remove(account mux.Address, id string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM client WHERE account = ?1 AND (?2 = '' OR id = ?2)", account.String(), id)
		}
		return err
	}
}

// DropTokens implements [sasl2.Store].
func (s *Clients) DropTokens(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, `UPDATE client SET version = version + 1, password = 0,
new_slot = '', new_mechanism = '', new_generation = 0, new_issued = 0, new_expires = 0, new_least = 0,
current_slot = '', current_mechanism = '', current_generation = 0, current_issued = 0, current_expires = 0, current_least = 0
WHERE account = ?`, account.String())
		}
		return err
	}
}
