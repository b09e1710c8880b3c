package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

// each calls f for each row of a query that sees all that was submitted before.
func (d *DB) each(ctx context.Context, what, query string, args []any, f func(rows *sql.Rows) error) error {
	err := d.settle(ctx)
	if err == nil {
		err = d.rows(ctx, query, args, f)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: read %s: %w", what, err)
	}
	return nil
}

func (d *DB) rows(ctx context.Context, query string, args []any, f func(rows *sql.Rows) error) error {
	rows, err := d.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Applications implements [register.Queue].
func (s *Registration) Applications(ctx context.Context) (list []register.Application, err error) {
	const query = "SELECT account, reason, source, at FROM application ORDER BY at, account"
	err = s.d.each(ctx, "applications", query, nil, func(rows *sql.Rows) error {
		var a register.Application
		var account string
		var at int64
		err := rows.Scan(&account, &a.Reason, &a.Source, &at)
		if err == nil {
			a.At = fromMicro(at)
			a.Account, err = mux.ParseAddress(account)
		}
		list = append(list, a)
		return err
	})
	return list, err
}

// Decided implements [register.Queue].
func (s *Registration) Decided(account mux.Address) mux.Write {
	return statement("DELETE FROM application WHERE account = ?", account.String())
}

// Guests implements [register.Guests].
func (s *Registration) Guests(ctx context.Context, inviter mux.Address) (list []register.Guest, err error) {
	query, args := "SELECT account, inviter, at, befriend FROM guest ORDER BY at, account", []any(nil)
	if !inviter.IsZero() {
		query, args = "SELECT account, inviter, at, befriend FROM guest WHERE inviter = ? ORDER BY at, account", []any{inviter.String()}
	}
	err = s.d.each(ctx, "guests", query, args, func(rows *sql.Rows) error {
		var g register.Guest
		var account, inviter string
		var at int64
		err := rows.Scan(&account, &inviter, &at, &g.Befriend)
		if err == nil {
			g.At = fromMicro(at)
			g.Account, err = mux.ParseAddress(account)
		}
		if err == nil {
			g.Inviter, err = mux.ParseAddress(inviter)
		}
		list = append(list, g)
		return err
	})
	return list, err
}

// Befriended implements [register.Guests].
func (s *Registration) Befriended(account mux.Address) mux.Write {
	return statement("UPDATE guest SET befriend = 0 WHERE account = ?", account.String())
}
