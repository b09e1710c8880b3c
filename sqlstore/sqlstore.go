package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrClosed is what everything handed to a [DB] after its Close ends with.
var ErrClosed = errors.New("sqlstore: database is closed")

// DefaultReaders is the default of [Options.Readers].
const DefaultReaders = 4

// Options are the tunables of [Open]. The zero value is ready to use.
type Options struct {
	// Linger is how long a submission may wait for company before its
	// transaction begins. 0, the default, and negative values mean not at all:
	// what arrives during a commit shares the next. A millisecond spares a busy
	// server with a fast disk most of its commits, and is not felt by people.
	// Calls that wait for their own result are not held up.
	Linger time.Duration
	// Readers is the number of connections that read, each with up to 2 MiB of
	// cache; 0 means DefaultReaders, negative values mean 1. Further reads wait.
	Readers int
	// Logger hears of panics in writes. Nil discards.
	Logger *slog.Logger
}

// DB is an open database. It is a [mux.Committer]; its other methods give the
// stores of the extensions, which all share it. It is safe for concurrent use.
type DB struct {
	w     writer
	read  *reader
	write *sql.DB
	lock  *lock
	path  string
	epoch string

	archive [archiveReads]*sql.Stmt

	closing sync.Once
	closed  error // result of the first Close
}

// Open opens the database in the file path, which it creates with mode 0600 if
// there is none; its folder must exist, be on a local disk and be private to
// the server. Two more files belong to it while it is open, path-wal and
// path-shm, and two remain beside it, path.lock and path.closed. Nil options
// are the zero ones.
//
// The error wraps [ErrLocked] if the database is open already and [ErrNewer] if
// it was written by a later version of this package. An older one is brought up
// to date. The context bounds Open alone.
func Open(ctx context.Context, path string, o *Options) (_ *DB, err error) {
	d := new(DB)
	var options Options
	if o != nil {
		options = *o
	}
	if options.Readers == 0 {
		options.Readers = DefaultReaders
	}
	if d.path, err = create(path); err != nil {
		return nil, err
	}
	if d.lock, err = acquire(ctx, d.path); err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.release())
		}
	}()
	kept := intact(d.path)
	if d.write, err = sql.Open("sqlite", source(d.path, common, writing)); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	d.write.SetMaxOpenConns(1)
	if err := d.prepareFile(ctx); err != nil {
		return nil, err
	}
	read, err := sql.Open("sqlite", source(d.path, common, reading))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	d.read = newReader(read)
	d.read.SetMaxOpenConns(max(options.Readers, 1))
	d.read.SetMaxIdleConns(max(options.Readers, 1))
	for i, query := range archiveQueries {
		if d.archive[i], err = d.read.PrepareContext(ctx, query); err != nil {
			return nil, fmt.Errorf("sqlstore: %w", err)
		}
	}
	purge := func() { go d.purge() }
	d.w.start(&transaction{db: d.write, purge: purge}, options)
	if d.epoch, err = d.renewEpoch(ctx, kept); err == nil {
		err = d.nameAccounts(ctx)
	}
	if err != nil {
		d.w.stop()
		return nil, err
	}
	var number int64
	if d.read.QueryRowContext(ctx, disowned).Scan(&number) == nil {
		purge() // the last process did not end with it
	}
	return d, nil
}

// prepareFile makes sure of the journal mode, which SQLite refuses silently on
// some file systems, and brings the schema up to date.
func (d *DB) prepareFile(ctx context.Context) error {
	c, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlstore: open %s: %w", d.path, err)
	}
	var mode string
	err = c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	switch {
	case err != nil:
		err = fmt.Errorf("sqlstore: open %s: %w", d.path, err)
	case mode != "wal":
		err = fmt.Errorf("sqlstore: %s: the file system allows no write-ahead log (journal mode %s)", d.path, mode)
	default:
		err = migrate(ctx, c, migrations)
	}
	return errors.Join(err, c.Close())
}

// Close commits what was submitted before, waits for its notifications, and
// closes the files; it must not be called from a notification. What is
// submitted later ends with [ErrClosed]. Further calls wait for the first and
// return its result.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.w.stop()
		d.closed = d.release()
	})
	return d.closed
}

// release closes what is open of the files. The lock goes last.
func (d *DB) release() error {
	var errs []error
	for _, s := range d.archive {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.write != nil {
		errs = append(errs, d.write.Close())
	}
	err := errors.Join(errs...)
	if err == nil && d.epoch != "" {
		err = seal(d.path)
	}
	return errors.Join(err, d.lock.release())
}
