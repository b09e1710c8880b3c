package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

var _ smacks.Store = (*StreamManagement)(nil)

// StreamManagement keeps what sessions need to be resumed; see
// [DB.StreamManagement].
type StreamManagement struct{ d *DB }

// StreamManagement returns the store of package smacks. Its writes are for Submit
// of the same DB.
func (d *DB) StreamManagement() *StreamManagement { return &StreamManagement{d} }

// Append implements [smacks.Store]. The item is not copied: it must not change until
// the write has been applied.
func (s *StreamManagement) Append(session string, e smacks.Entry) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil && e.Old != 0 {
			_, err = t.Exec(ctx, "DELETE FROM smacks_entry WHERE session = ? AND row = ?", session, int64(e.Old))
		}
		if err == nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO smacks_entry (session, row, number, sent, item, tag, arrived) VALUES (?, ?, ?, ?, ?, ?, ?)",
				session, int64(e.Row), int64(e.Number), e.Sent, e.Item, e.Tag, e.Arrived)
		}
		return err
	}
}

// noteCounters keeps the later of two counters each, which count modulo 2^32.
const noteCounters = `INSERT INTO smacks_session (session, handled, acked, through) VALUES (?, ?, ?, ?)
ON CONFLICT (session) DO UPDATE SET
    handled = iif((excluded.handled - handled) & 4294967295 < 2147483648, excluded.handled, handled),
    acked = iif((excluded.acked - acked) & 4294967295 < 2147483648, excluded.acked, acked),
    through = max(through, excluded.through)`

// Note implements [smacks.Store].
func (s *StreamManagement) Note(session string, c smacks.Counters) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if _, err := t.Exec(ctx, noteCounters, session, int64(c.Handled), int64(c.Acked), int64(c.Through)); err != nil || c.Through == 0 {
			return err
		}
		_, err = t.Exec(ctx, "DELETE FROM smacks_entry WHERE session = ? AND row <= ?", session, int64(c.Through))
		return err
	}
}

// Arrived implements [smacks.Store].
func (s *StreamManagement) Arrived(tags []string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		for _, tag := range tags {
			if err == nil && tag != "" {
				_, err = t.Exec(ctx, "UPDATE smacks_entry SET arrived = 1 WHERE tag = ? AND tag != ''", tag)
			}
		}
		return err
	}
}

// End implements [smacks.Store]. Times are kept to the microsecond.
func (s *StreamManagement) End(session string, last *smacks.Last) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		for _, query := range [...]string{
			"DELETE FROM smacks_entry WHERE session = ?",
			"DELETE FROM smacks_session WHERE session = ?",
			"DELETE FROM smacks_last WHERE session = ?",
		} {
			if _, err := t.Exec(ctx, query, session); err != nil {
				return err
			}
		}
		if last == nil {
			return nil
		}
		_, err = t.Exec(ctx, "INSERT INTO smacks_last (session, account, secret, h, until) VALUES (?, ?, ?, ?, ?)",
			session, last.Account.String(), last.Secret[:], int64(last.H), last.Until.UnixMicro())
		return err
	}
}

// Load implements [smacks.Store]. It sees all that was submitted before it, and
// waits for that. Sessions come in the order of their names, those that have ended
// last.
func (s *StreamManagement) Load(ctx context.Context, now time.Time) ([]smacks.Saved, error) {
	all, err := s.load(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: load stream management: %w", err)
	}
	return all, nil
}

func (s *StreamManagement) load(ctx context.Context, now time.Time) ([]smacks.Saved, error) {
	err := s.d.do(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM smacks_last WHERE until <= ?", now.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	all, at, err := s.sessions(ctx)
	if err != nil {
		return nil, err
	}
	if all, err = s.entries(ctx, all, at); err != nil {
		return nil, err
	}
	return s.ended(ctx, all)
}

// sessions reads the counters; at says where in the list a session is.
func (s *StreamManagement) sessions(ctx context.Context) (all []smacks.Saved, at map[string]int, err error) {
	at = make(map[string]int)
	rows, err := s.d.read.QueryContext(ctx, "SELECT session, handled, acked, through FROM smacks_session ORDER BY session")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var saved smacks.Saved
		var handled, acked, through int64
		if err := rows.Scan(&saved.Session, &handled, &acked, &through); err != nil {
			return nil, nil, err
		}
		saved.Counters = smacks.Counters{Handled: uint32(handled), Acked: uint32(acked), Through: uint64(through)}
		at[saved.Session] = len(all)
		all = append(all, saved)
	}
	return all, at, rows.Err()
}

// entries adds the entries of all sessions, read in one go.
func (s *StreamManagement) entries(ctx context.Context, all []smacks.Saved, at map[string]int) ([]smacks.Saved, error) {
	rows, err := s.d.read.QueryContext(ctx, "SELECT session, row, number, sent, item, tag, arrived FROM smacks_entry ORDER BY session, row")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var session string
		var row, number int64
		var e smacks.Entry
		if err := rows.Scan(&session, &row, &number, &e.Sent, &e.Item, &e.Tag, &e.Arrived); err != nil {
			return nil, err
		}
		e.Row, e.Number = uint64(row), uint32(number)
		i, ok := at[session]
		if !ok {
			i = len(all)
			at[session] = i
			all = append(all, smacks.Saved{Session: session})
		}
		all[i].Entries = append(all[i].Entries, e)
	}
	return all, rows.Err()
}

// ended adds the last words.
func (s *StreamManagement) ended(ctx context.Context, all []smacks.Saved) ([]smacks.Saved, error) {
	rows, err := s.d.read.QueryContext(ctx, "SELECT session, account, secret, h, until FROM smacks_last ORDER BY until, session")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var session, account string
		var secret []byte
		var h, until int64
		if err := rows.Scan(&session, &account, &secret, &h, &until); err != nil {
			return nil, err
		}
		last := &smacks.Last{H: uint32(h), Until: time.UnixMicro(until)}
		copy(last.Secret[:], secret)
		if last.Account, err = mux.ParseAddress(account); err != nil {
			return nil, err
		}
		all = append(all, smacks.Saved{Session: session, Last: last})
	}
	return all, rows.Err()
}
