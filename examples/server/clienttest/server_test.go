//go:build clients

package clienttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	domain   = "example.net"
	alice    = "alice@" + domain
	bob      = "bob@" + domain
	password = "secret"

	// limit bounds everything that a program does in a test.
	limit = 60 * time.Second
)

// binary is the reference server, built once by TestMain; empty if the tests
// run against another server.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("CLIENTTEST_ADDR") != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "clienttest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", binary, "..")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return 1 // the compiler has said why
	}
	return m.Run()
}

// server is a running server with the accounts alice and bob.
type server struct {
	*console
	data            string
	c2s, c2sTLS     string
	http            string // empty if it is off
	certificate     string
	stopped, remote bool
}

// startServer starts the reference server with a data directory of its own,
// makes the accounts, and stops the server cleanly when the test ends. Tests with
// servers of their own run in parallel.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	if peer := os.Getenv("CLIENTTEST_ADDR"); peer != "" {
		s := &server{remote: true}
		s.readAddresses("ready " + peer)
		return s
	}
	t.Parallel()
	s := &server{data: filepath.Join(t.TempDir(), "data")}
	s.launch(t, args...)
	s.addUser(t, alice)
	s.addUser(t, bob)
	return s
}

// launch starts the server process on its data directory.
func (s *server) launch(t *testing.T, args ...string) {
	t.Helper()
	flags := []string{
		"-domain", domain, "-data", s.data, "-c2s", "127.0.0.1:0", "-c2s-tls", "127.0.0.1:0",
		"-http", "off", "-s2s", "off", "-limits", "off", "-log-level", "debug",
	}
	s.console = start(t, "the server", serverCommand(append(flags, args...)...))
	s.stopped = false
	s.readAddresses(s.expect(t, "ready ", limit))
	s.certificate = filepath.Join(s.data, "cert.pem")
	mine := s.console
	t.Cleanup(func() {
		if mine != s.console {
			return // it was started again after that
		}
		if t.Failed() {
			t.Log(s.tail())
		}
		if !s.stopped {
			s.stop(t)
		}
	})
}

// serverCommand runs the server's binary without the PROPOLIS_ variables of the
// test: to the server they are settings, or errors.
func serverCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROPOLIS_") })
	return cmd
}

// readAddresses reads the line that says where the server listens.
func (s *server) readAddresses(ready string) {
	for _, field := range strings.Fields(ready) {
		switch name, value, _ := strings.Cut(field, "="); name {
		case "c2s":
			s.c2s = value
		case "c2s-tls":
			s.c2sTLS = value
		case "http":
			s.http = value
		case "cert":
			s.certificate = value
		}
	}
}

// stop ends the server as an operator does, and wants a clean shutdown.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.stopped = true
	s.signal(syscall.SIGINT)
	s.done(t, limit)
}

// kill ends the server without any warning.
func (s *server) kill(t *testing.T) {
	t.Helper()
	s.stopped = true
	s.signal(syscall.SIGKILL)
	s.wait(t, limit)
}

// addUser makes an account as an operator does, while the server runs.
func (s *server) addUser(t *testing.T, account string) {
	t.Helper()
	cmd := serverCommand("-domain", domain, "-data", s.data, "user", "add", account)
	cmd.Stdin = strings.NewReader(password + "\n")
	start(t, "user add", cmd).done(t, limit)
}

// ownServerOnly skips a test that must be able to end the server.
func (s *server) ownServerOnly(t *testing.T) {
	t.Helper()
	if s.remote {
		t.Skip("this test ends the server")
	}
}

// transports are the two ways to a client port; the tests run over both.
func (s *server) transports() []transport {
	return []transport{{"starttls", s.c2s}, {"direct", s.c2sTLS}}
}

type transport struct {
	name, addr string
}
