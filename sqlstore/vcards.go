package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/vcard"
)

var _ vcard.Store = (*VCards)(nil)

// VCards keeps visiting cards; see [DB.VCards].
type VCards struct{ d *DB }

// VCards returns the store of package vcard. Its writes are for Submit of the
// same DB. Load sees all that was submitted before it, and waits for that.
func (d *DB) VCards() *VCards { return &VCards{d} }

// Load implements [vcard.Store].
func (s *VCards) Load(ctx context.Context, account mux.Address) (string, error) {
	err := s.d.settle(ctx)
	var card string
	if err == nil {
		err = s.d.read.QueryRowContext(ctx, "SELECT xml FROM vcard WHERE account = ?", account.String()).Scan(&card)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("sqlstore: load vCard of %s: %w", account, err)
	}
	return card, nil
}

// Set implements [vcard.Store].
func (s *VCards) Set(account mux.Address, card string) mux.Write {
	if card == "" {
		return s.RemoveAccount(account)
	}
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO vcard (account, xml) VALUES (?, ?)", account.String(), card)
		}
		return err
	}
}

// RemoveAccount implements [vcard.Store].
func (s *VCards) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM vcard WHERE account = ?", account.String())
		}
		return err
	}
}
