package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// reader is the pool of connections that read. It keeps its statements prepared: to
// parse one takes SQLite longer than to run it for one account.
type reader struct {
	*sql.DB

	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func newReader(db *sql.DB) *reader { return &reader{DB: db, stmts: make(map[string]*sql.Stmt)} }

// QueryContext is that of [sql.DB], for a constant text.
func (r *reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// QueryRowContext is that of [sql.DB], for a constant text.
func (r *reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	st, err := r.prepare(ctx, query)
	if err != nil {
		return r.DB.QueryRowContext(ctx, query, args...) // whose error the caller gets
	}
	return st.QueryRowContext(ctx, args...)
}

func (r *reader) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.RLock()
	st := r.stmts[query]
	r.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	st, err := r.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.stmts[query]; other != nil { // somebody was faster
		return other, st.Close()
	}
	r.stmts[query] = st
	return st, nil
}

// Close closes all.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, st := range r.stmts {
		errs = append(errs, st.Close())
	}
	clear(r.stmts)
	return errors.Join(append(errs, r.DB.Close())...)
}
