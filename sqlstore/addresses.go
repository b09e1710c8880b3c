package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/mux"
)

// addresses are the columns with addresses that are compared with what peers send;
// whoever adds a table with contacts adds a query.
// Each query gives the account and the address.
var addresses = []string{
	"SELECT account, account FROM credential",
	"SELECT account, contact FROM roster_item WHERE removed = 0",
	"SELECT account, address FROM blocked",
	"SELECT n.account, p.jid FROM pep_peer p JOIN pep_node n ON n.id = p.node",
}

// unicodeData is where the database keeps what its addresses were prepared with; no
// name that Secret uses.
const unicodeData = "unicode"

// CheckAddresses looks for addresses that this version of the program would prepare
// differently from the one that has stored them, because it knows other Unicode data
// (core-im AD-4): nobody can log in to such an account, or write from such a contact, by
// the stored name. Each is reported with its account and what it would be now, empty
// if it is refused; nothing is changed. When all are as they were it is noted with
// which data that is so, and until these change the next call reads that note only.
//
// Call it after Open, before the database is used.
func (d *DB) CheckAddresses(ctx context.Context, report func(account, stored, now string)) error {
	return d.checkAddresses(ctx, mux.AddressData(), prepare, report)
}

// prepare returns the prepared form, empty for what is refused.
func prepare(stored string) string {
	a, err := mux.ParseAddress(stored)
	if err != nil {
		return ""
	}
	return a.String()
}

func (d *DB) checkAddresses(ctx context.Context, data string, prepare func(string) string, report func(account, stored, now string)) error {
	known := false
	err := d.do(ctx, func(ctx context.Context, tx *Tx) error {
		value, err := readSecret(ctx, tx, unicodeData)
		known = err == nil && string(value) == data
		return err
	})
	if err == nil && !known {
		err = d.compareAddresses(ctx, data, prepare, report)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: check of addresses: %w", err)
	}
	return nil
}

func (d *DB) compareAddresses(ctx context.Context, data string, prepare func(string) string, report func(account, stored, now string)) error {
	same := true
	for _, query := range addresses {
		err := d.eachAddress(ctx, query, func(account, stored string) {
			if now := prepare(stored); now != stored {
				same = false
				report(account, stored, now)
			}
		})
		if err != nil {
			return err
		}
	}
	if !same {
		return nil
	}
	return d.do(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", unicodeData, []byte(data))
		return err
	})
}

func (d *DB) eachAddress(ctx context.Context, query string, f func(account, address string)) (err error) {
	rows, err := d.read.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var account, address string
		if err := rows.Scan(&account, &address); err != nil {
			return err
		}
		f(account, address)
	}
	return rows.Err()
}
