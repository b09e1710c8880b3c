package usercmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// store implements control.Accounts with the passwords in clear.
type store struct {
	accounts map[string]string
	failure  error
	closed   int
	people
}

func (s *store) Add(_ context.Context, account, password string) error {
	if _, ok := s.accounts[account]; ok {
		return scram.ErrExists
	}
	s.accounts[account] = password
	return s.failure
}

func (s *store) SetPassword(_ context.Context, account, password string) error {
	if _, ok := s.accounts[account]; !ok {
		return scram.ErrNoAccount
	}
	s.accounts[account] = password
	return s.failure
}

func (s *store) Remove(_ context.Context, account string) error {
	if _, ok := s.accounts[account]; !ok {
		return scram.ErrNoAccount
	}
	delete(s.accounts, account)
	return s.failure
}

func (s *store) SetDisabled(_ context.Context, account string, disabled bool) error {
	if _, ok := s.accounts[account]; !ok {
		return scram.ErrNoAccount
	}
	if disabled {
		s.accounts[account] = "disabled"
	} else {
		s.accounts[account] = "enabled"
	}
	return s.failure
}

func (s *store) Numbers(context.Context) ([]control.Number, error) {
	return nil, control.ErrNotRunning
}

func (s *store) Clients(_ context.Context, account string) ([]control.ClientInfo, error) {
	if _, ok := s.accounts[account]; !ok {
		return nil, scram.ErrNoAccount
	}
	return []control.ClientInfo{
		{ID: "one", Software: "Hive", Device: "\x1b[2J", Connected: true, Password: true, Token: true},
		{ID: "two", Last: time.Unix(1_700_000_000, 0)},
		{ID: "s", Resource: "\x1bx", Connected: true},
	}, s.failure
}

func (s *store) Revoke(ctx context.Context, account, client string) error {
	list, err := s.Clients(ctx, account)
	if err == nil && !slices.ContainsFunc(list, func(c control.ClientInfo) bool { return c.ID == client }) {
		err = sasl2.ErrNoClient
	}
	return err
}

func (s *store) List(context.Context) ([]string, error) {
	var names []string
	for name := range s.accounts {
		names = append(names, name)
	}
	return names, s.failure
}

func (s *store) Close() error {
	s.closed++
	return nil
}

// input is a file with the text, at its begin.
func input(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// result is what a run of the command left.
type result struct {
	status         int
	stdout, stderr string
}

func run(t *testing.T, data string, open func() (control.Accounts, io.Closer, error), stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &Command{
		Data:  data,
		Open:  func(context.Context) (control.Accounts, io.Closer, error) { return open() },
		Stdin: input(t, stdin), Stdout: &stdout, Stderr: &stderr,
	}
	status := c.Run(t.Context(), args)
	return result{status, stdout.String(), stderr.String()}
}

const (
	good  = "correct horse"
	short = "user: warning: the password has fewer than 8 characters\n"
)

func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		args  string
		stdin string
		want  result
		left  string // password of alice@example.org afterwards, or "gone"
	}{
		{"list", "list", "", result{0, "alice@example.org\nbob@example.org\n", ""}, "old"},
		{"add", "add carol@example.org", good + "\n", result{0, "carol@example.org added\n", ""}, "old"},
		{"add with mapping", "add CAROL@Example.Org.", good + "\n", result{0, "carol@example.org added\n", ""}, "old"},
		{"add again", "add alice@example.org", good + "\n", result{1, "", "user: alice@example.org exists already\n"}, "old"},
		{"add elsewhere", "add alice@example.com", good + "\n", result{1, "", "user: example.com: domain is not served here; those served are example.org\n"}, "old"},
		{"short password", "passwd alice@example.org", "secret\n", result{0, "alice@example.org has a new password\n", short}, "secret"},
		{"no line feed", "passwd alice@example.org", good, result{0, "alice@example.org has a new password\n", ""}, good},
		{"first line only", "passwd alice@example.org", good + "\r\nmore\n", result{0, "alice@example.org has a new password\n", ""}, good},
		{"spaces are kept", "passwd alice@example.org", "  " + good + " \n", result{0, "alice@example.org has a new password\n", ""}, "  " + good + " "},
		{"common", "passwd alice@example.org", "password\n", result{0, "alice@example.org has a new password\n", "user: warning: the password is a common one and soon guessed\n"}, "password"},
		{"passwd of nobody", "passwd nobody@example.org", good + "\n", result{1, "", "user: there is no account nobody@example.org\n"}, "old"},
		{"del", "del alice@example.org", "", result{0, "alice@example.org removed\n", ""}, "gone"},
		{"del of nobody", "del nobody@example.org", "", result{1, "", "user: there is no account nobody@example.org\n"}, "old"},
		{"disable", "disable alice@example.org", "", result{0, "alice@example.org disabled\n", ""}, "disabled"},
		{"enable", "enable ALICE@example.org", "", result{0, "alice@example.org enabled\n", ""}, "enabled"},
		{"disable nobody", "disable nobody@example.org", "", result{1, "", "user: there is no account nobody@example.org\n"}, "old"},
		{"no password", "add carol@example.org", "", result{1, "", "user: the password is empty\n"}, "old"},
		{"empty password", "add carol@example.org", "\n" + good, result{1, "", "user: the password is empty\n"}, "old"},
		{"forbidden password", "add carol@example.org", "a\x01bcdefgh\n", result{1, "", "user: password not acceptable: it has forbidden characters or none\n"}, "old"},
		{"long password", "add carol@example.org", strings.Repeat("x", 1025) + "\n", result{1, "", "user: password not acceptable: too long\n"}, "old"},
		{"endless password", "add carol@example.org", strings.Repeat("x", 5000), result{1, "", "user: the password is too long\n"}, "old"},
		{"bad name", "add a&b@example.org", good, result{1, "", "user: \"a&b@example.org\": username not acceptable: forbidden character\n"}, "old"},
		{"name for new accounts only", "del straße@example.org", "", result{1, "", "user: there is no account straße@example.org\n"}, "old"},
		{"ambiguous name", "add straße@example.org", good, result{1, "", "user: \"straße@example.org\": username not acceptable: older software would take it for another name\n"}, "old"},
		{"no verb", "", "", result{2, "", "user: want add, passwd, del, disable, enable, list, clients, revoke, pending, approve or deny\n"}, "old"},
		{"unknown verb", "rename", "", result{2, "", "user: \"rename\": want add, passwd, del, disable, enable, list, clients, revoke, pending, approve or deny\n"}, "old"},
		{"no account", "add", "", result{2, "", "user: add wants one account, NAME@DOMAIN\n"}, "old"},
		{"two accounts", "del a@b c@d", "", result{2, "", "user: del wants one account, NAME@DOMAIN\n"}, "old"},
		{"list of something", "list x", "", result{2, "", "user: list wants no argument\n"}, "old"},
		{"clients", "clients alice@example.org", "", result{0, "one, connected, knows the password, has a token, \"Hive\", \"\\x1b[2J\"\n" +
			"two, last seen 2023-11-14T22:13:20Z\ns, connected, session \"\\x1bx\"\n", ""}, "old"},
		{"clients of nobody", "clients nobody@example.org", "", result{1, "", "user: there is no account nobody@example.org\n"}, "old"},
		{"clients of all", "clients", "", result{2, "", "user: clients wants one account, NAME@DOMAIN\n"}, "old"},
		{"revoke", "revoke alice@example.org one", "", result{0, "alice@example.org has lost the client \"one\"\n", ""}, "old"},
		{"revoke nothing", "revoke alice@example.org three", "", result{1, "", "user: alice@example.org has no client \"three\"\n"}, "old"},
		{"revoke of nobody", "revoke nobody@example.org one", "", result{1, "", "user: there is no account nobody@example.org\n"}, "old"},
		{"revoke all", "revoke alice@example.org", "", result{2, "", "user: revoke wants an account, NAME@DOMAIN, and a client as clients lists it\n"}, "old"},
		{"revoke of no account", "revoke alice one", "", result{2, "", "user: \"alice\": want NAME@DOMAIN\n"}, "old"},
		{"pending", "pending", "", result{0, "carol@example.org, since 2023-11-14T22:13:20Z, from 192.0.2.1, \"\\x1b[2J\"\n", ""}, "old"},
		{"pending of something", "pending x", "", result{2, "", "user: pending wants no argument\n"}, "old"},
		{"approve", "approve carol@example.org", "", result{0, "carol@example.org approved\n", ""}, "old"},
		{"deny", "deny carol@example.org", "", result{0, "carol@example.org denied\n", ""}, "old"},
		{"deny nobody", "deny alice@example.org", "", result{1, "", "user: alice@example.org does not wait for approval\n"}, "old"},
		{"no domain", "add alice", good, result{2, "", "user: \"alice\": want NAME@DOMAIN\n"}, "old"},
		{"full JID", "del alice@example.org/", "", result{2, "", "user: \"alice@example.org/\": want NAME@DOMAIN\n"}, "old"},
		{"bad domain", "del alice@exa_mple", "", result{1, "", "user: \"alice@exa_mple\": idna: disallowed rune U+005F\n"}, "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, way := range []string{"direct", "server"} {
				s := &store{accounts: map[string]string{"alice@example.org": "old", "bob@example.org": "old"}}
				accounts := control.Serving(s, func() []string { return []string{"example.org"} })
				data := filepath.Join(t.TempDir(), "data")
				open := func() (control.Accounts, io.Closer, error) { return accounts, s, nil }
				if way == "server" {
					serve(t, data, accounts)
					open = func() (control.Accounts, io.Closer, error) { return nil, nil, errors.New("the store was opened") }
				}
				if got := run(t, data, open, tt.stdin, strings.Fields(tt.args)...); got != tt.want {
					t.Errorf("%s: %+v, want %+v", way, got, tt.want)
				}
				left, ok := s.accounts["alice@example.org"]
				if !ok {
					left = "gone"
				}
				if left != tt.left {
					t.Errorf("%s: alice is %q, want %q", way, left, tt.left)
				}
				if way == "server" && s.closed != 0 || s.closed > 1 {
					t.Errorf("%s: the store was closed %d times", way, s.closed)
				}
			}
		})
	}
}

// serve is a server on a data directory until the test ends.
func serve(t *testing.T, data string, accounts control.Accounts) {
	t.Helper()
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := control.Acquire(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	server, err := lock.Listen(accounts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), lock.Release()); err != nil {
			t.Error(err)
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got := run(t, data, func() (control.Accounts, io.Closer, error) { return nil, nil, errors.New("broken\nstore") }, "", "list")
	if want := (result{1, "", "user: broken; store\n"}); got != want {
		t.Errorf("open: %+v, want %+v", got, want)
	}
	s := &store{failure: errors.New("disk full")}
	open := func() (control.Accounts, io.Closer, error) { return s, s, nil }
	if got, want := run(t, data, open, "", "list"), (result{1, "", "user: disk full\n"}); got != want || s.closed != 1 {
		t.Errorf("store: %+v, want %+v; closed %d times", got, want, s.closed)
	}
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, file, open, "", "list"); got.status != Failure || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("file as data directory: %+v", got)
	}
}
