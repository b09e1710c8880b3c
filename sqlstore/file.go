package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite" // registers the driver "sqlite" as well
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrLocked is wrapped by the error of [Open] when the database is open
// already, in this or in another process.
var ErrLocked = errors.New("sqlstore: database is in use")

// busyTimeout is how long a connection waits for another one's lock. There is
// one writer, so only other programs (backups, the sqlite3 shell) make it wait.
const busyTimeout = 5 * time.Second

// The settings of each kind of connection.
var (
	common = []string{
		"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")",
		"foreign_keys(1)",
		"trusted_schema(0)",
		"temp_store(memory)",
	}
	writing = []string{
		"journal_mode(wal)",
		"synchronous(full)",            // a commit is on the disk when it returns
		"secure_delete(fast)",          // removed data is overwritten where that costs no write
		"journal_size_limit(16777216)", // bytes of WAL kept after a checkpoint
		"cache_size(-8192)",            // KiB
	}
	reading = []string{"query_only(1)"}
)

// create makes the file if there is none, readable by its owner only; SQLite
// gives its WAL the same permissions. It returns the path without symbolic
// links, so that one database has one lock.
func create(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("sqlstore: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("sqlstore: %w", err)
	}
	if path, err = filepath.Abs(path); err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("sqlstore: %w", err)
	}
	return path, nil
}

// source is the data source name of a file with settings for each connection.
func source(path string, pragmas ...[]string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/… becomes file:///C:/…
	}
	q := url.Values{"_dqs": {"0"}, "_defensive": {"1"}}
	for _, list := range pragmas {
		q["_pragma"] = append(q["_pragma"], list...)
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// lock is held on a file beside the database for as long as that is open. The
// lock is SQLite's own, on an empty database, which makes it portable, visible
// to all processes, and gone with the process that held it.
type lock struct {
	db   *sql.DB
	conn *sql.Conn // in a transaction
}

// acquire takes the lock or returns ErrLocked at once.
func acquire(ctx context.Context, path string) (*lock, error) {
	path, err := create(path + ".lock")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", source(path, []string{"busy_timeout(0)"}))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: lock: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "BEGIN EXCLUSIVE")
	}
	l := &lock{db, conn}
	switch {
	case err == nil:
		return l, nil
	case code(err) == sqlite3.SQLITE_BUSY:
		err = ErrLocked
	default:
		err = fmt.Errorf("sqlstore: lock: %w", err)
	}
	return nil, errors.Join(err, l.release())
}

func (l *lock) release() error {
	var err error
	if l.conn != nil {
		err = l.conn.Close()
	}
	return errors.Join(err, l.db.Close())
}

// code is the primary result code of SQLite in an error, 0 if there is none.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
