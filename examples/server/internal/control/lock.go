package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Lock is the right to work on a data directory. It ends with the process, in
// whatever way that ends.
type Lock struct {
	dir  string
	file *os.File
}

const (
	// patience is how long Acquire waits for a command to finish, or for a
	// server to start listening or to end.
	patience = 10 * time.Second
	// pause is the time between two tries.
	pause = 20 * time.Millisecond
)

// Acquire locks a data directory, which must exist. It waits for other
// commands for up to ten seconds, after which it returns [ErrBusy], but not
// for a server: for that it returns [ErrRunning] as soon as it answers.
func Acquire(ctx context.Context, dir string) (*Lock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, ErrBusy)
	defer cancel()
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for {
		err := tryLock(file)
		if err == nil {
			return &Lock{dir: dir, file: file}, nil
		}
		if errors.Is(err, errLocked) {
			err = wait(ctx, dir)
		}
		if err != nil {
			_ = file.Close()
			return nil, err
		}
	}
}

// Release ends the lock.
func (l *Lock) Release() error { return l.file.Close() }

// wait returns nil if it is worth another try.
func wait(ctx context.Context, dir string) error {
	conn, err := dial(ctx, dir)
	if err == nil {
		_ = conn.Close()
		return ErrRunning
	}
	if ctx.Err() == nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}
