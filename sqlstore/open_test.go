package sqlstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := t.TempDir()
	d := reopen(t, filepath.Join(dir, "a b?c#d%e.db"), nil)
	look := func() {
		t.Helper()
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) < 2 {
			t.Errorf("files: %v", entries)
		}
		for _, e := range entries {
			info, err := e.Info()
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", e.Name(), info.Mode())
			}
		}
	}
	look()
	must(t, d.Close())
	look()
}

func TestSettings(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	pragma := func(name string) (writer, reader string) {
		must(t, d.read.QueryRow("PRAGMA "+name).Scan(&reader))
		c, err := d.write.Conn(t.Context())
		must(t, err)
		must(t, c.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&writer))
		must(t, c.Close())
		return writer, reader
	}
	must(t, d.do(t.Context(), nil))
	d.w.stop() // gives the connection back
	for _, want := range []struct{ name, writer, reader string }{
		{"journal_mode", "wal", "wal"},
		{"synchronous", "2", "2"},
		{"foreign_keys", "1", "1"},
		{"busy_timeout", "5000", "5000"},
		{"query_only", "0", "1"},
		{"secure_delete", "2", "0"},
		{"trusted_schema", "0", "0"},
		{"journal_size_limit", "16777216", "-1"},
	} {
		if w, r := pragma(want.name); w != want.writer || r != want.reader {
			t.Errorf("%s is %s and %s, want %s and %s", want.name, w, r, want.writer, want.reader)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(t.Context(), filepath.Join(dir, "none", "test.db"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: got error %v, want %v", err, os.ErrNotExist)
	}
	text := filepath.Join(dir, "text")
	must(t, os.WriteFile(text, bytes.Repeat([]byte("no database. "), 1000), 0o600))
	for range 2 { // the first left no lock
		if _, err := Open(t.Context(), text, nil); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("text file: got error %v", err)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	a, err := d.Secret(t.Context(), "a", 32)
	must(t, err)
	b, err := d.Secret(t.Context(), "b", 32)
	must(t, err)
	if len(a) != 32 || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) {
		t.Error("secrets are not random")
	}
	for _, size := range []int{-1, 0, MinSecret - 1, 16, 33, MaxSecret + 1} {
		if _, err := d.Secret(t.Context(), "a", size); err == nil {
			t.Errorf("no error for size %d", size)
		}
	}
	if e, err := d.Secret(t.Context(), "epoch", 32); err != nil || string(e) == d.epoch {
		t.Errorf("secret epoch: %v", err)
	}
	must(t, d.Close())
	again, err := reopen(t, d.path, nil).Secret(t.Context(), "a", 32)
	must(t, err)
	if !bytes.Equal(a, again) {
		t.Error("the secret changed")
	}
}

// TestEpoch restores backups in several ways.
func TestEpoch(t *testing.T) {
	t.Parallel()
	if identity(t.TempDir()) == "" {
		t.Skip("files have no identity here")
	}
	path := filepath.Join(t.TempDir(), "test.db")
	copyFile := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(to, data, 0o600))
	}
	seen := make(map[string]bool)
	open := func(renewed bool, why string) *DB {
		t.Helper()
		d := reopen(t, path, nil)
		r, err := d.Rosters().Load(t.Context(), mux.MustParseAddress("juliet@example.net"))
		must(t, err)
		if seen[r.Epoch] == renewed {
			t.Errorf("%s: epoch renewed: %t, want %t", why, !renewed, renewed)
		}
		seen[r.Epoch] = true
		return d
	}
	must(t, open(true, "new database").Close())
	must(t, open(false, "opened again").Close())
	cold, seal := path+"-cold", path+"-cold.closed"
	copyFile(path, cold)
	copyFile(sealed(path), seal)
	must(t, open(false, "after a backup").Close())
	copyFile(cold, path)
	must(t, open(true, "restored in place").Close())
	copyFile(cold, path)
	copyFile(seal, sealed(path))
	must(t, open(true, "restored in place with its seal").Close())
	must(t, os.Remove(path))
	must(t, os.Rename(cold, path))
	must(t, open(true, "replaced").Close())
	must(t, os.Remove(sealed(path)))
	d := open(true, "not closed in order")
	must(t, d.Close())
	must(t, open(false, "opened again").Close())
}
