package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

var (
	_ archive.Store      = (*Archives)(nil)
	_ archive.Lister     = (*Archives)(nil)
	_ archive.PrefsStore = (*Archives)(nil)
)

// Archives keeps the messages of accounts; see [DB.Archives].
type Archives struct{ d *DB }

// Archives returns the stores of package archive. Writes are for Submit of the same
// DB. Reads see all that was submitted before them, and wait for that. Entries of
// pages have no With.
func (d *DB) Archives() *Archives { return &Archives{d} }

// positionBits is how many bits of a message's id are its position.
const positionBits = 36

// tail is the end of an archive, as the goroutine that writes knows it.
type tail struct {
	base int64 // id of position 0
	last int64 // position of the newest message, 0 for none
	at   int64 // and its time
}

// maxTails bounds how many the goroutine remembers.
const maxTails = 1 << 13

// tail returns the end of an archive, which may change it. With make an account
// without an archive gets one; else it is nil.
func (tx *Tx) tail(ctx context.Context, account string, make bool) (*tail, error) {
	if t := tx.tails[account]; t != nil {
		return t, nil
	}
	t, err := tx.readTail(ctx, account, make)
	if err != nil || t == nil {
		return nil, err
	}
	if len(tx.tails) >= maxTails {
		clear(tx.tails)
	}
	tx.tails[account] = t
	return t, nil
}

func (tx *Tx) readTail(ctx context.Context, account string, make bool) (*tail, error) {
	var number int64
	err := tx.QueryRow(ctx, "SELECT number FROM archive WHERE account = ?", account).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		if !make {
			return nil, nil
		}
		r, err := tx.Exec(ctx, "INSERT INTO archive (account) VALUES (?)", account)
		if err != nil {
			return nil, err
		}
		if number, err = r.LastInsertId(); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	t := &tail{base: number << positionBits}
	err = tx.QueryRow(ctx, "SELECT id, at FROM archive_message WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1", t.base, t.end()).Scan(&t.last, &t.at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, nil
	case err != nil:
		return nil, err
	}
	t.last -= t.base
	return t, nil
}

// end is the id behind all of the archive.
func (t *tail) end() int64 { return t.base + 1<<positionBits }

const insertMessage = "INSERT INTO archive_message (id, uid, at, peer, resource, stanza) VALUES (?, ?, ?, ?, ?, ?)"

// Append implements [archive.Store].
func (s *Archives) Append(account mux.Address, e archive.Entry) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		end, err := t.tail(ctx, account.String(), true)
		if err != nil {
			return err
		}
		at := max(e.At.UnixMicro(), end.at)
		if _, err := t.Exec(ctx, insertMessage, end.base+end.last+1, e.ID, at, e.With.Bare().String(), e.With.Resource(), e.Stanza); err != nil {
			return err
		}
		end.last++
		end.at = at
		return nil
	}
}

// Mark implements [archive.Store].
func (s *Archives) Mark(account mux.Address, f func(last int64)) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		end, err := t.tail(ctx, account.String(), false)
		if err != nil {
			return err
		}
		if end == nil {
			end = new(tail)
		}
		f(end.last)
		return nil
	}
}

// Remove implements [archive.Store].
func (s *Archives) Remove(account mux.Address, r archive.Removal) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		end, err := t.tail(ctx, account.String(), false)
		if err != nil || end == nil {
			return err
		}
		if r.All {
			return removeArchive(ctx, t, account.String())
		}
		return t.trim(ctx, end, r)
	}
}

// trim removes messages from the oldest end. Positions have no gaps, so those before
// the first to stay are as many as the positions say.
func (tx *Tx) trim(ctx context.Context, end *tail, r archive.Removal) error {
	var first int64
	err := tx.QueryRow(ctx, "SELECT id FROM archive_message WHERE id > ? AND id < ? ORDER BY id LIMIT 1", end.base, end.end()).Scan(&first)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	many := first // the first that is not one too many
	if r.Keep > 0 {
		many = max(first, end.base+end.last+1-int64(r.Keep))
	}
	_, err = tx.Exec(ctx, "DELETE FROM archive_message WHERE id >= ? AND id < ? AND (id < ? OR at < ?)",
		first, min(first+int64(r.Limit), end.base+end.last+1), many, r.Before.UnixMicro())
	return err
}

// How much of a removed archive goes at a time, so that nobody waits long for the
// store: as much as is removed at once, and what is removed later. Until then it is
// nobody's.
const (
	removeAtOnce = 10_000
	removeLater  = 2000
)

// removeArchive removes all of an archive.
func removeArchive(ctx context.Context, tx *Tx, account string) error {
	var number int64
	err := tx.QueryRow(ctx, "SELECT number FROM archive WHERE account = ?", account).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	delete(tx.tails, account)
	all, err := tx.removePart(ctx, number, removeAtOnce)
	if err != nil || all {
		return err
	}
	if _, err := tx.Exec(ctx, disown, number); err != nil {
		return err
	}
	tx.purge()
	return nil
}

// Archives that are nobody's any more are named in a way that no account can be.
const (
	disown   = "UPDATE archive SET account = '/' || number WHERE number = ?"
	disowned = "SELECT number FROM archive WHERE account >= '/' AND account < '0' LIMIT 1"
)

const removePart = `DELETE FROM archive_message WHERE id IN
(SELECT id FROM archive_message WHERE id > ?1 << 36 AND id < ?1 + 1 << 36 ORDER BY id LIMIT ?2)`

// removePart removes the oldest messages of an archive, and the archive itself if that
// were all.
func (tx *Tx) removePart(ctx context.Context, number int64, most int) (all bool, err error) {
	r, err := tx.Exec(ctx, removePart, number, most)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == int64(most) {
		return false, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM archive WHERE number = ?", number)
	return true, err
}

// purge removes what is nobody's any more, a little at a time, until nothing is left or
// the DB is closed.
func (d *DB) purge() {
	for more := true; more; {
		err := d.w.do(context.Background(), func(ctx context.Context, tx *Tx) error {
			var number int64
			err := tx.QueryRow(ctx, disowned).Scan(&number)
			if more = err == nil; errors.Is(err, sql.ErrNoRows) {
				return nil
			} else if err != nil {
				return err
			}
			_, err = tx.removePart(ctx, number, removeLater)
			return err
		})
		if err != nil {
			return // what is left goes when the DB is opened the next time
		}
	}
}

// Archives implements [archive.Lister].
func (s *Archives) Archives(ctx context.Context, after mux.Address, limit int) ([]mux.Address, error) {
	list, err := s.list(ctx, after.String(), limit)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list archives: %w", err)
	}
	return list, nil
}

const listArchives = "SELECT account FROM archive WHERE account > ? AND NOT (account >= '/' AND account < '0') ORDER BY account LIMIT ?"

func (s *Archives) list(ctx context.Context, after string, limit int) (list []mux.Address, err error) {
	if err := s.d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := s.d.read.QueryContext(ctx, listArchives, after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var account string
		if err := rows.Scan(&account); err != nil {
			return nil, err
		}
		a, err := mux.ParseAddress(account)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// LoadPrefs implements [archive.PrefsStore].
func (s *Archives) LoadPrefs(ctx context.Context, account mux.Address) (archive.Prefs, error) {
	p, err := s.readPrefs(ctx, account.String())
	if err != nil {
		return archive.Prefs{}, fmt.Errorf("sqlstore: load archiving preferences of %s: %w", account, err)
	}
	return p, nil
}

func (s *Archives) readPrefs(ctx context.Context, account string) (p archive.Prefs, err error) {
	if err := s.d.settle(ctx); err != nil {
		return p, err
	}
	var always, never string
	err = s.d.read.QueryRowContext(ctx, "SELECT other, always, never FROM archive_prefs WHERE account = ?", account).Scan((*string)(&p.Default), &always, &never)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return archive.Prefs{}, nil
	case err != nil:
		return p, err
	}
	if p.Always, err = readAddresses(always); err != nil {
		return p, err
	}
	p.Never, err = readAddresses(never)
	return p, err
}

func readAddresses(text string) (list []mux.Address, err error) {
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, err
	}
	for _, t := range texts {
		a, err := mux.ParseAddress(t)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func addressList(list []mux.Address) (string, error) {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	b, err := json.Marshal(texts)
	return string(b), err
}

// SetPrefs implements [archive.PrefsStore].
func (s *Archives) SetPrefs(account mux.Address, p archive.Prefs) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if p.Default == "" && len(p.Always)+len(p.Never) == 0 {
			_, err = t.Exec(ctx, "DELETE FROM archive_prefs WHERE account = ?", account.String())
			return err
		}
		always, err := addressList(p.Always)
		if err != nil {
			return err
		}
		never, err := addressList(p.Never)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, "INSERT OR REPLACE INTO archive_prefs (account, other, always, never) VALUES (?, ?, ?, ?)", account.String(), string(p.Default), always, never)
		return err
	}
}
