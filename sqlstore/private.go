package sqlstore

import (
	"context"
	"database/sql"
	"encoding/xml"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/private"
)

var _ private.Store = (*Private)(nil)

// Private keeps XML of clients' own; see [DB.Private].
type Private struct{ d *DB }

// Private returns the store of package private. Its writes are for Submit of the
// same DB. Load and Sizes see all that was submitted before them, and wait for
// that.
func (d *DB) Private() *Private { return &Private{d} }

// Load implements [private.Store].
func (s *Private) Load(ctx context.Context, account mux.Address, name xml.Name) (string, error) {
	err := s.d.settle(ctx)
	var element string
	if err == nil {
		const query = "SELECT xml FROM private_xml WHERE account = ? AND space = ? AND name = ?"
		err = s.d.read.QueryRowContext(ctx, query, account.String(), name.Space, name.Local).Scan(&element)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("sqlstore: load private data of %s: %w", account, err)
	}
	return element, nil
}

// Sizes implements [private.Store].
func (s *Private) Sizes(ctx context.Context, account mux.Address) (map[xml.Name]int, error) {
	sizes, err := s.sizes(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list private data of %s: %w", account, err)
	}
	return sizes, nil
}

func (s *Private) sizes(ctx context.Context, account mux.Address) (map[xml.Name]int, error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, "SELECT space, name, octet_length(xml) FROM private_xml WHERE account = ?", account.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // what was wrong is told by Err
	sizes := make(map[xml.Name]int)
	for rows.Next() {
		var name xml.Name
		var n int
		if err := rows.Scan(&name.Space, &name.Local, &n); err != nil {
			return nil, err
		}
		sizes[name] = n
	}
	return sizes, rows.Err()
}

// Set implements [private.Store].
func (s *Private) Set(account mux.Address, name xml.Name, element string) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO private_xml (account, space, name, xml) VALUES (?, ?, ?, ?)",
				account.String(), name.Space, name.Local, element)
		}
		return err
	}
}

// RemoveAccount implements [private.Store].
func (s *Private) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM private_xml WHERE account = ?", account.String())
		}
		return err
	}
}
