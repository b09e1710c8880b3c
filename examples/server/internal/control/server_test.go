package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// leaveSocket leaves what a killed server leaves.
func leaveSocket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.Listen("unix", fullPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leaveSocket(t, dir)
	s := start(t, dir, &memory{accounts: map[string]string{}}, io.Discard)
	if err := NewClient(dir).Add(t.Context(), "a@b", "x"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v; want mode 0600", info, err)
	}
}

func TestLiveServer(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"short path": t.TempDir(), "long path": longDir(t)} {
		start(t, dir, &memory{accounts: map[string]string{}}, io.Discard)
		if _, err := Acquire(t.Context(), dir); !errors.Is(err, ErrRunning) {
			t.Errorf("%s: %v, want ErrRunning", name, err)
		}
		if err := NewClient(dir).Add(t.Context(), "a@b", "x"); err != nil {
			t.Errorf("%s: after the second server: %v", name, err)
		}
	}
}

// TestLock: one command waits for another.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := Acquire(ctx, dir); !errors.Is(err, stopped) {
		t.Errorf("%v, want the cause of the context's end", err)
	}
	second := make(chan error)
	go func() {
		l, err := Acquire(t.Context(), dir)
		if err == nil {
			err = l.Release()
		}
		second <- err
	}()
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// exchange sends bytes as they are and returns the answer.
func exchange(t *testing.T, dir, input string) string {
	t.Helper()
	conn, err := dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, input) // the server may have had enough
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // it may be cut off, too
	return string(answer)
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, &memory{accounts: map[string]string{}}, io.Discard)
	for _, tt := range []struct{ name, input, want string }{
		{"nothing", "", ""},
		{"empty line", "\n", `{"error":"malformed request"}` + "\n"},
		{"unknown operation", `{"op":"drop"}` + "\n", `{"error":"malformed request: unknown operation"}` + "\n"},
		{"no end of line", `{"op":"list"}`, `{"done":true}` + "\n"},
		{"second line is ignored", `{"op":"list"}` + "\n\n", `{"done":true}` + "\n"},
		{"too long", strings.Repeat("x", maxLine+1), ""},
	} {
		if got := exchange(t, dir, tt.input); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, &memory{before: func() { panic("broken") }}, io.Discard)
	err := NewClient(dir).Add(t.Context(), "a@b", "x")
	if err == nil || !strings.Contains(err.Error(), "panic: broken") {
		t.Errorf("%v, want the panic", err)
	}
	if _, err := NewClient(dir).List(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestClose: work is finished, waiting connections are not waited for, and no
// socket is left.
func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	m := &memory{accounts: map[string]string{}, before: func() { close(begun); <-end }}
	s, err := lock.Listen(m, discard)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	added := make(chan error)
	go func() { added <- NewClient(dir).Add(t.Context(), "a@b", "x") }()
	<-begun
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	if _, err := bufio.NewReader(idle).ReadByte(); err != io.EOF {
		t.Errorf("idle connection: %v, want EOF", err)
	}
	close(end)
	if err := <-added; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket: %v, want it gone", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// TestClientContext: a client gives up when its context ends.
func TestClientContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begun, end := make(chan struct{}), make(chan struct{})
	start(t, dir, &memory{accounts: map[string]string{}, before: func() { close(begun); <-end }}, io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if err := NewClient(dir).Add(ctx, "a@b", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	close(end)
}
