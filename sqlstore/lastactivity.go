package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mux"
)

var _ lastactivity.Store = (*LastActivity)(nil)

// LastActivity keeps when accounts were last there; see [DB.LastActivity].
type LastActivity struct{ d *DB }

// LastActivity returns the store of package lastactivity. Its writes are for
// Submit of the same DB. Load sees all that was submitted before it, and waits
// for that. Times are kept to the microsecond.
func (d *DB) LastActivity() *LastActivity { return &LastActivity{d} }

// Load implements [lastactivity.Store].
func (s *LastActivity) Load(ctx context.Context, account mux.Address) (lastactivity.Last, error) {
	l, err := s.read(ctx, account)
	if err != nil {
		return lastactivity.Last{}, fmt.Errorf("sqlstore: load last activity of %s: %w", account, err)
	}
	return l, nil
}

func (s *LastActivity) read(ctx context.Context, account mux.Address) (l lastactivity.Last, err error) {
	if err := s.d.settle(ctx); err != nil {
		return l, err
	}
	var at int64
	err = s.d.read.QueryRowContext(ctx, "SELECT at, status FROM last_activity WHERE account = ?", account.String()).Scan(&at, &l.Status)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return lastactivity.Last{}, nil
	case err != nil:
		return lastactivity.Last{}, err
	}
	l.At = fromMicro(at)
	return l, nil
}

// Set implements [lastactivity.Store].
func (s *LastActivity) Set(account mux.Address, l lastactivity.Last) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO last_activity (account, at, status) VALUES (?, ?, ?)", account.String(), toMicro(l.At), l.Status)
		}
		return err
	}
}

// RemoveAccount implements [lastactivity.Store].
func (s *LastActivity) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM last_activity WHERE account = ?", account.String())
		}
		return err
	}
}

// toMicro is how a time is kept that may be zero: 0 stands for that.
func toMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}
