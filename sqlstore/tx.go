package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
	sqlite3 "modernc.org/sqlite/lib"
)

// Tx is the transaction that a [mux.Write] submitted to a [DB] is given:
//
//	func(ctx context.Context, tx mux.Tx) error {
//		_, err := tx.(*sqlstore.Tx).Exec(ctx, "INSERT …", …)
//		return err
//	}
//
// It is valid during the call only and must not be used by other goroutines.
type Tx struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	err   error // the first error of Exec in this submission
	tails map[string]*tail
	purge func() // has what is nobody's any more removed, later
}

// maxStmts bounds the statements kept prepared; there are about twenty.
const maxStmts = 200

// Exec runs one statement, which must be a constant text without a semicolon at
// the end: it is kept prepared. A statement that fails makes the whole
// submission fail, also when the error is not returned by the Write, because
// SQLite may have ended the transaction.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := tx.prepare(ctx, query)
	if err == nil {
		var r sql.Result
		if r, err = st.ExecContext(ctx, args...); err == nil {
			return r, nil
		}
	}
	if tx.err == nil {
		tx.err = err
	}
	return nil, err
}

// QueryRow runs a query for at most one row, a constant text as for Exec. The
// row must be scanned before the next call.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	st, err := tx.prepare(ctx, query)
	if err != nil {
		return tx.conn.QueryRowContext(ctx, query, args...) // whose error the caller gets
	}
	return st.QueryRowContext(ctx, args...)
}

func (tx *Tx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := tx.stmts[query]; st != nil {
		return st, nil
	}
	st, err := tx.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(tx.stmts) >= maxStmts {
		for q, old := range tx.stmts {
			_ = old.Close() // it was prepared well and is not in use
			delete(tx.stmts, q)
			break
		}
	}
	tx.stmts[query] = st
	return st, nil
}

// own is the transaction as this package's writes need it.
func own(tx mux.Tx) (*Tx, error) {
	if t, ok := tx.(*Tx); ok {
		return t, nil
	}
	return nil, fmt.Errorf("sqlstore: write applied in a transaction of type %T", tx)
}

// States of an operation.
const (
	waiting int32 = iota
	started
	abandoned
)

// operation is a submission that somebody waits for.
type operation struct {
	run   func(ctx context.Context, tx *Tx) error
	state atomic.Int32
	done  chan struct{}
	err   error // set before done is closed
}

func (o *operation) end(err error) {
	o.err = err
	close(o.done)
}

// transaction runs batches on the one connection that writes.
type transaction struct {
	db    *sql.DB
	log   *slog.Logger
	purge func()
	tx    *Tx // nil when there is no connection
}

// apply runs the submissions from up to to in one transaction and commits it.
// If one fails nothing is changed and its index is returned; if the transaction
// itself fails, that is to.
func (t *transaction) apply(b *batch, from, to int) (bad int, err error) {
	ctx := context.Background() // what was submitted is written, whoever waits
	if !b.touches(from, to) {
		return to, nil
	}
	if err := t.begin(ctx); err != nil {
		return to, fmt.Errorf("sqlstore: begin: %w", err)
	}
	for i := from; i < to; i++ {
		if err := t.one(ctx, b, i); err != nil {
			t.rollback(ctx)
			if fatal(err) {
				i = to
			}
			return i, err
		}
	}
	if _, err := t.tx.Exec(ctx, "COMMIT"); err != nil {
		t.rollback(ctx)
		return to, fmt.Errorf("sqlstore: commit: %w", err)
	}
	return to, nil
}

// touches reports whether there is anything to run.
func (b *batch) touches(from, to int) bool {
	at := 0
	if from > 0 {
		at = b.subs[from-1].end
	}
	for _, s := range b.subs[from:to] {
		if s.end > at || s.op != nil && s.op.run != nil {
			return true
		}
	}
	return false
}

// begin connects if need be and begins a transaction.
func (t *transaction) begin(ctx context.Context) error {
	if t.tx == nil {
		conn, err := t.db.Conn(ctx)
		if err != nil {
			return err
		}
		t.tx = &Tx{conn: conn, stmts: make(map[string]*sql.Stmt), tails: make(map[string]*tail), purge: t.purge}
	}
	if _, err := t.tx.Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		t.discard()
		return err
	}
	return nil
}

// one runs submission i.
func (t *transaction) one(ctx context.Context, b *batch, i int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("sqlstore: write panicked: %v", v)
			if t.log != nil {
				t.log.LogAttrs(ctx, slog.LevelError, "sqlstore: write panicked", slog.Any("err", v), slog.String("stack", string(debug.Stack())))
			}
		}
	}()
	t.tx.err = nil
	if op := b.subs[i].op; op != nil {
		// The state stays started when it runs again after a rollback.
		if op.run == nil || !op.state.CompareAndSwap(waiting, started) && op.state.Load() != started {
			return nil
		}
		err = op.run(ctx, t.tx)
	} else {
		at := 0
		if i > 0 {
			at = b.subs[i-1].end
		}
		for _, w := range b.writes[at:b.subs[i].end] {
			if err = w(ctx, t.tx); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = t.tx.err
	}
	return err
}

// rollback ends the transaction. If SQLite has done so itself, or cannot, the
// connection is replaced, so that the next transaction starts clean.
func (t *transaction) rollback(ctx context.Context) {
	clear(t.tx.tails)
	if _, err := t.tx.Exec(ctx, "ROLLBACK"); err != nil {
		t.discard()
	}
}

// discard closes the connection and drops it from the pool.
func (t *transaction) discard() {
	t.closeStmts()
	_ = t.tx.conn.Raw(func(any) error { return driver.ErrBadConn }) // database/sql's way to say so
	t.tx = nil
}

// close gives the connection back; the pool is closed next and says what is
// wrong.
func (t *transaction) close() {
	if t.tx == nil {
		return
	}
	t.closeStmts()
	_ = t.tx.conn.Close()
	t.tx = nil
}

// closeStmts must come before the end of the connection; the driver does not
// bear it afterwards.
func (t *transaction) closeStmts() {
	if t.tx.conn.Raw(func(any) error { return nil }) != nil {
		return // closed by database/sql
	}
	for _, st := range t.tx.stmts {
		_ = st.Close() // errors repeat those of its last use
	}
}

// fatal reports whether an error is about the database rather than about what
// was written.
func fatal(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB:
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}
