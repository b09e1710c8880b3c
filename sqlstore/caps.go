package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

var _ caps.Store = (*Caps)(nil)

// Caps keeps what hashes of capabilities stand for; see [DB.Caps].
type Caps struct{ d *DB }

// Caps returns the store of package caps. Its writes are for Submit of the same DB. Load
// sees all that was submitted before it, and waits for that; hashes beyond its limit stay
// until they are removed. Times are kept to the microsecond.
func (d *DB) Caps() *Caps { return &Caps{d} }

// featureEnd is between features.
const featureEnd = "\x1f"

// Load implements [caps.Store].
func (s *Caps) Load(ctx context.Context, limit int) ([]caps.Saved, error) {
	list, err := s.read(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: read capabilities: %w", err)
	}
	slices.Reverse(list)
	return list, nil
}

// read reads those seen last first.
func (s *Caps) read(ctx context.Context, limit int) (list []caps.Saved, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, "SELECT proto, algo, value, features, seen FROM caps ORDER BY seen DESC LIMIT ?", max(0, limit))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var c caps.Saved
		var features string
		var seen int64
		if err := rows.Scan(&c.Proto, &c.Algo, &c.Value, &features, &seen); err != nil {
			return nil, err
		}
		if features != "" {
			c.Features = strings.Split(features, featureEnd)
		}
		c.Seen = fromMicro(seen)
		list = append(list, c)
	}
	return list, rows.Err()
}

// Save implements [caps.Store].
func (s *Caps) Save(c caps.Saved) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO caps (proto, algo, value, features, seen) VALUES (?, ?, ?, ?, ?)",
				int(c.Proto), c.Algo, c.Value, strings.Join(c.Features, featureEnd), toMicro(c.Seen))
		}
		return err
	}
}

// Remove implements [caps.Store].
func (s *Caps) Remove(p caps.Proto, algo, value string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM caps WHERE proto = ? AND algo = ? AND value = ?", int(p), algo, value)
		}
		return err
	}
}
