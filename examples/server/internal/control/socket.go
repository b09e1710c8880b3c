package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxPath is how long the path of a socket may be everywhere: sun_path has 104
// bytes on some systems and 108 on Linux, with a NUL.
const maxPath = 103

// fullPath is where the socket of a data directory is.
func fullPath(dir string) string { return filepath.Join(dir, "control.sock") }

// socketPath returns a path for the socket that is short enough, to use until
// release is called.
func socketPath(dir string) (path string, release func(), err error) {
	path = fullPath(dir)
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	// Linux shows an open directory under a short name.
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if _, err := os.Stat(short); err != nil {
		_ = f.Close()
		return "", nil, fmt.Errorf("the path %s is too long for a socket: choose a shorter data directory, or a relative path to it", path)
	}
	return filepath.Join(short, filepath.Base(path)), func() { _ = f.Close() }, nil
}

// dial connects to the server of a data directory, or returns an error that
// wraps [ErrNotRunning].
func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, release, err := socketPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return conn, nil
}
