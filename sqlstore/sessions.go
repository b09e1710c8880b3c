package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/mux"
)

var _ mux.SessionStore = (*Sessions)(nil)

// Sessions keeps sessions across restarts; see [DB.Sessions].
type Sessions struct{ d *DB }

// Sessions returns the [mux.SessionStore]. Its writes are for Submit of the same
// DB.
func (d *DB) Sessions() *Sessions { return &Sessions{d} }

// Save implements [mux.SessionStore]. Until is kept to the microsecond. The data
// is not copied: it must not change until the write has been applied.
func (s *Sessions) Save(saved mux.SavedSession) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		until := sql.NullInt64{Int64: saved.Until.UnixMicro(), Valid: !saved.Until.IsZero()}
		data := saved.Data
		if data == nil {
			data = []byte{} // nil is NULL
		}
		_, err = t.Exec(ctx, `INSERT INTO session (id, account, address, until, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET account = excluded.account, address = excluded.address, until = excluded.until, data = excluded.data`,
			saved.ID, saved.JID.Bare().String(), saved.JID.String(), until, data)
		return err
	}
}

// Delete implements [mux.SessionStore].
func (s *Sessions) Delete(id string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM session WHERE id = ?", id)
		}
		return err
	}
}

// Load implements [mux.SessionStore]. It sees all that was submitted before it,
// and waits for that. Sessions come in the order of their IDs.
func (s *Sessions) Load(ctx context.Context) ([]mux.SavedSession, error) {
	all, err := s.all(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: load sessions: %w", err)
	}
	return all, nil
}

func (s *Sessions) all(ctx context.Context) (all []mux.SavedSession, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, "SELECT id, address, until, data FROM session ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var (
			saved   mux.SavedSession
			address string
			until   sql.NullInt64
		)
		if err := rows.Scan(&saved.ID, &address, &until, &saved.Data); err != nil {
			return nil, err
		}
		if saved.JID, err = mux.ParseAddress(address); err != nil {
			return nil, err
		}
		if until.Valid {
			saved.Until = time.UnixMicro(until.Int64)
		}
		all = append(all, saved)
	}
	return all, rows.Err()
}
