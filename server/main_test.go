package server_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds what a test waits for that should happen at once.
const patience = 20 * time.Second

// TestMain runs the child of the tests that measure a server's memory, and checks
// that no test left a goroutine behind.
func TestMain(m *testing.M) {
	if child() {
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

// goroutines returns the stacks of those, except the caller's, that run code of
// this module or were started by it.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(all[1:], func(stack string) bool {
		return !strings.Contains(stack, "propolis-im/propolis/")
	})
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
