package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// memory implements Accounts with the passwords in clear.
type memory struct {
	mu       sync.Mutex
	accounts map[string]string
	disabled map[string]bool
	before   func() // if not nil, is called by Add
	clients  []ClientInfo
	people
}

func (m *memory) Clients(_ context.Context, account string) ([]ClientInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; !ok {
		return nil, scram.ErrNoAccount
	}
	return m.clients, nil
}

func (m *memory) Revoke(_ context.Context, account, client string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.clients, func(c ClientInfo) bool { return c.ID == client })
	if i < 0 {
		return fmt.Errorf("%s: %w", account, sasl2.ErrNoClient)
	}
	m.clients = slices.Delete(m.clients, i, i+1)
	return nil
}

func (m *memory) Add(_ context.Context, account, password string) error {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; ok {
		return scram.ErrExists
	}
	m.accounts[account] = password
	return nil
}

func (m *memory) SetPassword(_ context.Context, account, password string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; !ok {
		return fmt.Errorf("%s: %w", account, scram.ErrNoAccount)
	}
	if len(password) > 1024 {
		return scram.ErrPasswordLong
	}
	m.accounts[account] = password
	return nil
}

func (m *memory) Remove(_ context.Context, account string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; !ok {
		return scram.ErrNoAccount
	}
	delete(m.accounts, account)
	return nil
}

func (m *memory) SetDisabled(_ context.Context, account string, disabled bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; !ok {
		return scram.ErrNoAccount
	}
	if m.disabled == nil {
		m.disabled = map[string]bool{}
	}
	m.disabled[account] = disabled
	return nil
}

func (m *memory) Numbers(context.Context) ([]Number, error) {
	return []Number{{"sessions", 3}, {"octets", 1 << 40}}, nil
}

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.accounts {
		names = append(names, name)
	}
	return names, nil
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start serves accounts on a directory until the test ends.
func start(t *testing.T, dir string, accounts Accounts, log io.Writer) *Server {
	t.Helper()
	lock, err := Acquire(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := lock.Listen(accounts, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), lock.Release()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// longDir is a directory whose path no socket may have.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"short path": t.TempDir(), "long path": longDir(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log buffer
			m := &memory{accounts: map[string]string{}}
			start(t, dir, Serving(m, func() []string { return []string{"example.org", "bücher.example"} }), &log)
			c, ctx := NewClient(dir), t.Context()
			check := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			const secret = "tråd \"hemlig\" \\ 🔑"
			check("add", c.Add(ctx, "alice@example.org", secret), nil)
			check("add again", c.Add(ctx, "alice@example.org", secret), scram.ErrExists)
			check("add elsewhere", c.Add(ctx, "alice@example.com", secret), ErrDomain)
			check("add another", c.Add(ctx, "bob@bücher.example", secret), nil)
			check("passwd", c.SetPassword(ctx, "alice@example.org", "another"), nil)
			check("passwd of nobody", c.SetPassword(ctx, "nobody@example.org", secret), scram.ErrNoAccount)
			check("passwd too long", c.SetPassword(ctx, "alice@example.org", strings.Repeat("\x01", 1025)), scram.ErrPassword)
			for _, disabled := range []bool{true, false} {
				check("disable or enable", c.SetDisabled(ctx, "alice@example.org", disabled), nil)
				if m.disabled["alice@example.org"] != disabled {
					t.Errorf("disabled %t, want %t", !disabled, disabled)
				}
			}
			check("disable nobody", c.SetDisabled(ctx, "nobody@example.org", true), scram.ErrNoAccount)
			check("remove of nobody", c.Remove(ctx, "nobody@example.org"), scram.ErrNoAccount)
			names, err := c.List(ctx)
			slices.Sort(names)
			if want := []string{"alice@example.org", "bob@bücher.example"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("list: %q, %v; want %q", names, err, want)
			}
			check("remove", c.Remove(ctx, "alice@example.org"), nil)
			check("remove again", c.Remove(ctx, "alice@example.org"), scram.ErrNoAccount)
			if text := log.String(); strings.Contains(text, "hemlig") || !strings.Contains(text, "alice@example.org") {
				t.Errorf("log %q; want accounts and no passwords", text)
			}
		})
	}
}

// TestClients: what clients say about themselves arrives as it is.
func TestClients(t *testing.T) {
	t.Parallel()
	want := []ClientInfo{
		{ID: "one", Software: "\"Hive\"\n\x1b[2J", Device: "📱", Last: time.Unix(1_700_000_000, 5), Connected: true, Password: true, Token: true},
		{ID: "two"},
	}
	dir := t.TempDir()
	start(t, dir, &memory{accounts: map[string]string{"alice@example.org": ""}, clients: slices.Clone(want)}, io.Discard)
	c, ctx := NewClient(dir), t.Context()
	same := func(a, b ClientInfo) bool {
		equal := a.Last.Equal(b.Last)
		a.Last, b.Last = time.Time{}, time.Time{}
		return equal && a == b
	}
	list, err := c.Clients(ctx, "alice@example.org")
	if err != nil || !slices.EqualFunc(list, want, same) {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := c.Clients(ctx, "nobody@example.org"); !errors.Is(err, scram.ErrNoAccount) {
		t.Errorf("clients of nobody: %v", err)
	}
	if err := c.Revoke(ctx, "alice@example.org", "one"); err != nil {
		t.Error(err)
	}
	if err := c.Revoke(ctx, "alice@example.org", "one"); !errors.Is(err, sasl2.ErrNoClient) {
		t.Errorf("revoked again: %v", err)
	}
	if list, err := c.Clients(ctx, "alice@example.org"); err != nil || len(list) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
}

// TestManyAccounts: a list may be longer than any line.
func TestManyAccounts(t *testing.T) {
	t.Parallel()
	m := &memory{accounts: map[string]string{}}
	for i := range 5000 {
		m.accounts[fmt.Sprintf("user%d@example.org", i)] = ""
	}
	dir := t.TempDir()
	start(t, dir, m, io.Discard)
	if names, err := NewClient(dir).List(t.Context()); err != nil || len(names) != 5000 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

func TestNotRunning(t *testing.T) {
	t.Parallel()
	dead := t.TempDir()
	leaveSocket(t, dead)
	for name, dir := range map[string]string{
		"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "x"), "dead server": dead,
		"long": longDir(t), "long and missing": filepath.Join(t.TempDir(), strings.Repeat("x", 200)),
	} {
		if err := NewClient(dir).Remove(t.Context(), "a@b"); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v, want ErrNotRunning", name, err)
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir, &memory{accounts: map[string]string{}}, io.Discard)
	if err := NewClient(dir).Add(t.Context(), "a@b", strings.Repeat("x", maxLine)); err == nil {
		t.Error("a request longer than a line was sent")
	}
}

// TestNumbers: in their order; a server that is not there has none.
func TestNumbers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := NewClient(dir).Numbers(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a server: %v", err)
	}
	start(t, dir, &memory{}, io.Discard)
	got, err := NewClient(dir).Numbers(t.Context())
	if want := []Number{{"sessions", 3}, {"octets", 1 << 40}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}
