package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/scram"
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

// slots is the length of what Classes returns: fixed, so that a few accounts
// more move the decoys of few names.
const slots = 256

// counted is a class with the number of keys that have it.
type counted struct {
	scram.Class
	n int64
}

// Classes returns what the keys of all accounts look like, for
// scram.Options.Classes: each class as often as its share demands, none if
// there are no keys. It reads all keys, so call it when the server starts.
func (a *Accounts) Classes(ctx context.Context) ([]scram.Class, error) {
	fail := func(err error) ([]scram.Class, error) {
		return nil, fmt.Errorf("sqlstore: classes of keys: %w", err)
	}
	rows, err := a.d.read.QueryContext(ctx, "SELECT length(salt), iterations, count(*) FROM credential_key GROUP BY 1, 2")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	var all []counted
	for rows.Next() {
		var c counted
		if err := rows.Scan(&c.SaltLength, &c.Iterations, &c.n); err != nil {
			return fail(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return shares(all), nil
}

// shares gives every class one slot, and the rest in proportion. Of more classes
// than slots the most frequent are taken.
func shares(all []counted) []scram.Class {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Compare(b.n, a.n) })
	all = all[:min(len(all), slots)]
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(a.SaltLength, b.SaltLength), cmp.Compare(a.Iterations, b.Iterations))
	})
	total := int64(0)
	for _, c := range all {
		total += c.n
	}
	rest := int64(slots - len(all))
	classes := make([]scram.Class, 0, slots)
	given, sum := int64(0), int64(0)
	for _, c := range all {
		sum += c.n
		until := (sum*rest + total/2) / total // of the rest, up to and with this class
		for range until - given + 1 {
			classes = append(classes, c.Class)
		}
		given = until
	}
	return classes
}
