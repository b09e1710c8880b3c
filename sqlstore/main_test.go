package sqlstore

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds what a test waits for that should happen at once.
const patience = 30 * time.Second

// TestMain runs the child of the tests that need another process, and checks
// that no test left a goroutine behind.
func TestMain(m *testing.M) {
	if path := os.Getenv("SQLSTORE_CHILD"); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	end := time.Now().Add(patience)
	left := goroutines()
	for ; len(left) > 0 && time.Now().Before(end); left = goroutines() {
		runtime.Gosched()
	}
	if len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = max(code, 1)
	}
	os.Exit(code)
}

// goroutines returns the stacks of those, except the caller's, that run or were
// started by code of this package or of database/sql.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(all[1:], func(stack string) bool {
		return !strings.Contains(stack, "/sqlstore.") && !strings.Contains(stack, "database/sql.")
	})
}

// temp opens a database of the test's own.
func temp(t testing.TB, o *Options) *DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "test.db"), o)
}

func reopen(t testing.TB, path string, o *Options) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for a channel.
func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
