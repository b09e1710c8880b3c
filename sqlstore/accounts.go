package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/propolis-im/propolis/scram"
)

var (
	_ scram.Store    = (*Accounts)(nil)
	_ scram.Accounts = (*Accounts)(nil)
)

// Accounts keeps who can log in; see [DB.Accounts].
type Accounts struct{ d *DB }

// Accounts returns the stores of package scram. Changes are made in order with
// what is submitted to the DB, are durable when the method returns, and must
// not be made from a write or a notification.
func (d *DB) Accounts() *Accounts { return &Accounts{d} }

const loadCredentials = `SELECT c.generation, c.disabled, c.closing, c.created, c.updated, k.mechanism, k.iterations, k.salt, k.stored_key, k.server_key
FROM credential c LEFT JOIN credential_key k ON k.account = c.account WHERE c.account = ?`

// Credentials implements [scram.Store].
func (a *Accounts) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	c, err := a.read(ctx, account)
	if err != nil && !errors.Is(err, scram.ErrNoAccount) {
		err = fmt.Errorf("sqlstore: read credentials of %s: %w", account, err)
	}
	return c, err
}

func (a *Accounts) read(ctx context.Context, account string) (c scram.Credentials, err error) {
	rows, err := a.d.read.QueryContext(ctx, loadCredentials, account)
	if err != nil {
		return c, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	found := false
	for rows.Next() {
		var (
			created, updated, closing int64
			mechanism                 sql.NullString
			iterations                sql.NullInt64
			k                         scram.Key
		)
		if err := rows.Scan(&c.Generation, &c.Disabled, &closing, &created, &updated, &mechanism, &iterations, &k.Salt, &k.StoredKey, &k.ServerKey); err != nil {
			return scram.Credentials{}, err
		}
		found = true
		c.Closing = fromMicro(closing)
		c.Created, c.Updated = time.UnixMicro(created), time.UnixMicro(updated)
		if !mechanism.Valid {
			break // no keys
		}
		h, ok := scram.ParseMechanism(mechanism.String)
		if !ok {
			continue // of a later version
		}
		k.Hash, k.Iterations = h, int(iterations.Int64)
		c.Keys = append(c.Keys, k)
	}
	if err := rows.Err(); err != nil {
		return scram.Credentials{}, err
	}
	if !found {
		return scram.Credentials{}, scram.ErrNoAccount
	}
	return c, nil
}

// Update implements [scram.Store].
func (a *Accounts) Update(ctx context.Context, account string, from int64, c scram.Credentials, also ...scram.Also) (generation int64, err error) {
	return a.change(ctx, "update", account, func(ctx context.Context, tx *Tx) (int64, error, error) {
		current, err := generationOf(ctx, tx, account)
		switch {
		case err != nil:
			return 0, nil, err
		case current == 0:
			return 0, scram.ErrNoAccount, nil
		case current != from:
			return 0, scram.ErrConflict, nil
		}
		if refusal, err := doAlso(ctx, tx, also); refusal != nil || err != nil {
			return 0, refusal, err
		}
		next, err := nextGeneration(ctx, tx)
		if err != nil {
			return 0, nil, err
		}
		if _, err := tx.Exec(ctx, "UPDATE credential SET generation = ?, disabled = ?, closing = ?, updated = ? WHERE account = ?",
			next, c.Disabled, toMicro(c.Closing), time.Now().UnixMicro(), account); err != nil {
			return 0, nil, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM credential_key WHERE account = ?", account); err != nil {
			return 0, nil, err
		}
		return next, nil, writeKeys(ctx, tx, account, c.Keys)
	})
}

// AddKey implements [scram.Store].
func (a *Accounts) AddKey(ctx context.Context, account string, from int64, k scram.Key) error {
	return a.addKeys(ctx, "upgrade", account, from, []scram.Key{k}, func(ctx context.Context, tx *Tx) (has bool, err error) {
		err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM credential_key WHERE account = ? AND mechanism = ?)", account, k.Hash.Mechanism()).Scan(&has)
		return has, err
	})
}

// Renew implements [scram.Store].
func (a *Accounts) Renew(ctx context.Context, account string, from int64, keys []scram.Key) error {
	return a.addKeys(ctx, "renew", account, from, keys, func(ctx context.Context, tx *Tx) (bool, error) {
		for _, k := range keys {
			if _, err := tx.Exec(ctx, "DELETE FROM credential_key WHERE account = ? AND mechanism = ?", account, k.Hash.Mechanism()); err != nil {
				return false, err
			}
		}
		return false, nil
	})
}

// addKeys adds keys to those of a generation, which stays, if room finds nothing
// against it or makes room.
func (a *Accounts) addKeys(ctx context.Context, what, account string, from int64, keys []scram.Key,
	room func(ctx context.Context, tx *Tx) (conflict bool, err error)) error {
	_, err := a.change(ctx, what, account, func(ctx context.Context, tx *Tx) (int64, error, error) {
		current, err := generationOf(ctx, tx, account)
		switch {
		case err != nil:
			return 0, nil, err
		case current == 0:
			return 0, scram.ErrNoAccount, nil
		case current != from:
			return 0, scram.ErrConflict, nil
		}
		if conflict, err := room(ctx, tx); err != nil || conflict {
			return 0, scram.ErrConflict, err // err goes first
		}
		if _, err := tx.Exec(ctx, "UPDATE credential SET updated = ? WHERE account = ?", time.Now().UnixMicro(), account); err != nil {
			return 0, nil, err
		}
		return 0, nil, writeKeys(ctx, tx, account, keys)
	})
	return err
}

// Create implements [scram.Accounts]. A new account inherits nothing.
func (a *Accounts) Create(ctx context.Context, account string, c scram.Credentials, also ...scram.Also) (generation int64, err error) {
	return a.change(ctx, "create", account, func(ctx context.Context, tx *Tx) (int64, error, error) {
		current, err := generationOf(ctx, tx, account)
		if err != nil || current != 0 {
			return 0, scram.ErrExists, err // err goes first
		}
		// What was on its way to a removed account may have been written behind that.
		if err := removeData(ctx, tx, account); err != nil {
			return 0, nil, err
		}
		if refusal, err := doAlso(ctx, tx, also); refusal != nil || err != nil {
			return 0, refusal, err
		}
		next, err := nextGeneration(ctx, tx)
		if err != nil {
			return 0, nil, err
		}
		now := time.Now()
		created := c.Created
		if created.IsZero() {
			created = now
		}
		domain := account[strings.IndexByte(account, '@')+1:]
		if _, err := tx.Exec(ctx, "INSERT INTO credential (account, domain, generation, disabled, closing, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)",
			account, domain, next, c.Disabled, toMicro(c.Closing), created.UnixMicro(), now.UnixMicro()); err != nil {
			return 0, nil, err
		}
		if err := nameAccount(ctx, tx, account); err != nil {
			return 0, nil, err
		}
		return next, nil, writeKeys(ctx, tx, account, c.Keys)
	})
}

// Remove implements [scram.Accounts]. With the credentials goes whatever else
// any store of this DB keeps of the account, so that who gets the name next
// inherits nothing.
func (a *Accounts) Remove(ctx context.Context, account string) error {
	_, err := a.change(ctx, "remove", account, func(ctx context.Context, tx *Tx) (int64, error, error) {
		current, err := generationOf(ctx, tx, account)
		if err != nil || current == 0 {
			return 0, scram.ErrNoAccount, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM credential WHERE account = ?", account); err != nil { // and with it the keys
			return 0, nil, err
		}
		return 0, nil, removeData(ctx, tx, account)
	})
	return err
}

// doAlso does what goes together with a change.
func doAlso(ctx context.Context, tx *Tx, also []scram.Also) (refusal, err error) {
	for _, f := range also {
		if refusal, err = f(ctx, tx); refusal != nil || err != nil {
			return refusal, err
		}
	}
	return nil, nil
}

// Closing implements [scram.Accounts].
func (a *Accounts) Closing(ctx context.Context) (map[string]time.Time, error) {
	closing := make(map[string]time.Time)
	const query = "SELECT account, closing FROM credential WHERE closing <> 0"
	err := a.d.each(ctx, "closing accounts", query, nil, func(rows *sql.Rows) error {
		var account string
		var due int64
		err := rows.Scan(&account, &due)
		closing[account] = fromMicro(due)
		return err
	})
	return closing, err
}

// change runs f and waits for the commit. An answer of f other than nil changes
// nothing and is the caller's error; an error fails the transaction.
func (a *Accounts) change(ctx context.Context, what, account string, f func(ctx context.Context, tx *Tx) (generation int64, answer, err error)) (int64, error) {
	var (
		generation int64
		answer     error
	)
	err := a.d.do(ctx, func(ctx context.Context, tx *Tx) (err error) {
		generation, answer, err = f(ctx, tx)
		return err
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("sqlstore: %s account %s: %w", what, account, err)
	case answer != nil:
		return 0, answer
	}
	return generation, nil
}

// generationOf returns the generation of an account, 0 if there is no account.
func generationOf(ctx context.Context, tx *Tx, account string) (generation int64, err error) {
	err = tx.QueryRow(ctx, "SELECT generation FROM credential WHERE account = ?", account).Scan(&generation)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return generation, err
}

// nextGeneration is larger than all before.
func nextGeneration(ctx context.Context, tx *Tx) (next int64, err error) {
	if _, err := tx.Exec(ctx, "UPDATE counter SET value = value + 1 WHERE name = 'generation'"); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "SELECT value FROM counter WHERE name = 'generation'").Scan(&next)
	return next, err
}

func writeKeys(ctx context.Context, tx *Tx, account string, keys []scram.Key) error {
	for _, k := range keys {
		if _, err := tx.Exec(ctx, "INSERT INTO credential_key (account, mechanism, iterations, salt, stored_key, server_key) VALUES (?, ?, ?, ?, ?, ?)",
			account, k.Hash.Mechanism(), k.Iterations, k.Salt, k.StoredKey, k.ServerKey); err != nil {
			return err
		}
	}
	return nil
}
