//go:build clients

package clienttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGoSendxmpp: a tool that knows PLAIN only sends one message.
func TestGoSendxmpp(t *testing.T) {
	s := startServer(t)
	sendxmpp := program(t, "go-sendxmpp", "go-sendxmpp")
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			echo := slixmpp(t, s, via, "echo", bob)
			echo.expect(t, "online", limit)
			args := []string{"-u", alice, "-p", password, "-j", via.addr, bob}
			if via.name == "direct" {
				args = append([]string{"-t"}, args...)
			}
			for _, body := range []string{"one line", "bye"} {
				cmd := command([]string{"SSL_CERT_FILE=" + s.certificate}, sendxmpp, args...)
				cmd.Stdin = strings.NewReader(body + "\n")
				start(t, "go-sendxmpp", cmd).done(t, limit)
				echo.expect(t, "got "+alice+" "+body, limit)
			}
			echo.done(t, limit)
		})
	}
}

// TestProfanity: a person at a terminal sends a message and sees the answer.
func TestProfanity(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			echo := slixmpp(t, s, via, "echo", bob)
			echo.expect(t, "online", limit)
			p := openProfanity(t, s, via)
			p.expect(t, "logged in successfully")
			p.enter(t, "/msg "+bob+" hello from a terminal")
			echo.expect(t, "got "+alice+" hello from a terminal", limit)
			p.expect(t, "echo: hello from a terminal")
			p.enter(t, "bye")
			echo.done(t, limit)
			p.quit(t)
		})
	}
}

// terminal is a program in a window of a tmux server of its own.
type terminal struct {
	tmux, socket string
	env          []string
}

// openProfanity starts profanity with an account that logs in at once.
func openProfanity(t *testing.T, s *server, via transport) *terminal {
	t.Helper()
	profanity := program(t, "profanity", "profanity")
	home := t.TempDir()
	data := filepath.Join(home, "data", "profanity")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(via.addr, ":")
	policy := "force" // STARTTLS, and the certificate must be good
	if via.name == "direct" {
		policy = "legacy" // direct TLS, likewise
	}
	account := fmt.Sprintf("[test]\nenabled=true\njid=%s\nresource=prof\nserver=%s\nport=%s\ntls.policy=%s\npassword=%s\n",
		alice, host, port, policy, password)
	if err := os.WriteFile(filepath.Join(data, "accounts"), []byte(account), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &terminal{
		tmux:   program(t, "tmux", "tmux"),
		socket: filepath.Join(home, "tmux"),
		env: []string{
			"TMUX=", "HOME=" + home, "XDG_CONFIG_HOME=" + home + "/config", "XDG_DATA_HOME=" + home + "/data",
			"XDG_CACHE_HOME=" + home + "/cache", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TERM=xterm-256color",
			"SSL_CERT_FILE=" + s.certificate,
		},
	}
	w.run(t, "new-session", "-d", "-s", "s", "-x", "120", "-y", "40", profanity+" -a test")
	t.Cleanup(func() {
		_ = w.command("kill-server").Run() // ended by itself if the program has
	})
	return w
}

func (w *terminal) command(args ...string) *exec.Cmd {
	return command(w.env, w.tmux, append([]string{"-S", w.socket, "-f", "/dev/null"}, args...)...)
}

func (w *terminal) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// enter types a line.
func (w *terminal) enter(t *testing.T, line string) {
	t.Helper()
	w.run(t, "send-keys", "-t", "s", "-l", line)
	w.run(t, "send-keys", "-t", "s", "Enter")
}

// expect waits until the screen shows a text.
func (w *terminal) expect(t *testing.T, text string) {
	t.Helper()
	var screen string
	shown := look(func() bool {
		screen = w.run(t, "capture-pane", "-p", "-t", "s")
		for _, bad := range []string{"verification failed", "Login failed"} {
			if strings.Contains(screen, bad) {
				t.Fatalf("profanity: %s\n%s", bad, screen)
			}
		}
		return strings.Contains(screen, text)
	})
	if !shown {
		t.Fatalf("no %q on the screen within %v:\n%s", text, limit, screen)
	}
}

// quit ends the program, and tmux with it.
func (w *terminal) quit(t *testing.T) {
	t.Helper()
	w.enter(t, "/quit")
	if !look(func() bool { return w.command("has-session").Run() != nil }) {
		t.Fatalf("profanity still runs %v after /quit", limit)
	}
}

// look asks again and again, within [limit]: a terminal cannot be waited for,
// only looked at.
func look(done func() bool) bool {
	next := time.NewTicker(100 * time.Millisecond)
	defer next.Stop()
	for late := time.After(limit); ; {
		if done() {
			return true
		}
		select {
		case <-next.C:
		case <-late:
			return false
		}
	}
}
