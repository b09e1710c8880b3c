package sqlstore

import (
	"context"
	"fmt"

	"github.com/propolis-im/propolis/mux"
)

// Exists reports whether there is such an account, disabled ones included. It is
// what package server asks of its accounts.
func (a *Accounts) Exists(ctx context.Context, account mux.Address) (bool, error) {
	var found bool
	const query = "SELECT EXISTS (SELECT 1 FROM credential WHERE account = ?)"
	if err := a.d.read.QueryRowContext(ctx, query, account.Bare().String()).Scan(&found); err != nil {
		return false, fmt.Errorf("sqlstore: look up account %s: %w", account, err)
	}
	return found, nil
}

// List returns the accounts of a domain, or of all domains if it is empty, named
// by their bare JIDs, in order.
func (a *Accounts) List(ctx context.Context, domain string) ([]string, error) {
	fail := func(err error) ([]string, error) {
		return nil, fmt.Errorf("sqlstore: list accounts: %w", err)
	}
	query, args := "SELECT account FROM credential ORDER BY account", []any(nil)
	if domain != "" {
		query, args = "SELECT account FROM credential WHERE domain = ? ORDER BY account", []any{domain}
	}
	rows, err := a.d.read.QueryContext(ctx, query, args...)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return fail(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return names, nil
}
