package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
)

var _ offline.Store = (*Offline)(nil)

// Offline keeps messages that wait for their account; see [DB.Offline].
type Offline struct{ d *DB }

// Offline returns the store of package offline. Its writes are for Submit of the same
// DB. Reads see all that was submitted before them, and wait for that.
func (d *DB) Offline() *Offline { return &Offline{d} }

// Add implements [offline.Store].
func (s *Offline) Add(account mux.Address, m offline.Message) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		item := m.Item
		if item == nil {
			item = []byte{} // nil is NULL
		}
		_, err = t.Exec(ctx, "INSERT INTO offline_message (account, at, uid, item) VALUES (?, ?, ?, ?)", account.String(), m.At.UnixMicro(), m.ID, item)
		return err
	}
}

// Load implements [offline.Store].
func (s *Offline) Load(ctx context.Context, account mux.Address, after offline.Message, limit, octets int) (list []offline.Message, more bool, err error) {
	if list, more, err = s.load(ctx, account.String(), after, limit, octets); err != nil {
		return nil, false, fmt.Errorf("sqlstore: load offline messages of %s: %w", account, err)
	}
	return list, more, nil
}

func (s *Offline) load(ctx context.Context, account string, after offline.Message, limit, octets int) (list []offline.Message, more bool, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, false, err
	}
	at := int64(-1 << 63) // before all
	if after.Seq != 0 {
		at = after.At.UnixMicro()
	}
	const query = "SELECT id, at, uid, item FROM offline_message WHERE account = ? AND (at, id) > (?, ?) ORDER BY at, id"
	rows, err := s.d.read.QueryContext(ctx, query, account, at, after.Seq)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		if len(list) >= limit || len(list) > 0 && octets <= 0 {
			return list, true, nil
		}
		var m offline.Message
		if err := rows.Scan(&m.Seq, &at, &m.ID, &m.Item); err != nil {
			return nil, false, err
		}
		m.At = time.UnixMicro(at)
		octets -= len(m.Item) + len(m.ID) + offlineExtra
		list = append(list, m)
	}
	return list, false, rows.Err()
}

// offlineExtra is what each message counts beside what it consists of.
const offlineExtra = 32

// Usage implements [offline.Store].
func (s *Offline) Usage(ctx context.Context, account mux.Address) (u offline.Usage, err error) {
	if err = s.d.settle(ctx); err == nil {
		const query = "SELECT count(*), coalesce(sum(length(item) + length(uid)), 0) FROM offline_message WHERE account = ?"
		err = s.d.read.QueryRowContext(ctx, query, account.String()).Scan(&u.Messages, &u.Bytes)
	}
	if err != nil {
		return offline.Usage{}, fmt.Errorf("sqlstore: count offline messages of %s: %w", account, err)
	}
	u.Bytes += u.Messages * offlineExtra
	return u, nil
}

// Remove implements [offline.Store].
func (s *Offline) Remove(account mux.Address, r offline.Removal) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if r.All {
			_, err := t.Exec(ctx, removeOffline, account.String())
			return err
		}
		if r.References {
			if _, err := t.Exec(ctx, "DELETE FROM offline_message WHERE account = ? AND uid <> ''", account.String()); err != nil {
				return err
			}
		}
		for _, seq := range r.Seqs {
			if _, err := t.Exec(ctx, "DELETE FROM offline_message WHERE id = ? AND account = ?", seq, account.String()); err != nil {
				return err
			}
		}
		return nil
	}
}

const removeOffline = "DELETE FROM offline_message WHERE account = ?"
