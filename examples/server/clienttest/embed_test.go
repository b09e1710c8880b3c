//go:build clients

package clienttest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startEmbed starts the server of examples/embed with two accounts.
func startEmbed(t *testing.T) *server {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	bin := filepath.Join(dir, "embed")
	if out, err := exec.Command("go", "build", "-o", bin, "../../embed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := &server{certificate: filepath.Join(dir, "cert.pem")}
	s.console = start(t, "embed", exec.Command(bin, "-addr", "127.0.0.1:0", "-cert", s.certificate, "alice:"+password, "bob:"+password))
	s.c2s = strings.TrimPrefix(s.expect(t, "ready ", limit), "ready ")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.tail())
		}
		s.stop(t)
	})
	return s
}

// TestEmbed: carbons, and resumption when the socket was destroyed, on a server that is
// not ours but for two extensions, by two clients' own code.
func TestEmbed(t *testing.T) {
	const alice, bob = "alice@localhost", "bob@localhost"
	for _, name := range []string{"slixmpp", "xmpp.js"} {
		t.Run(name, func(t *testing.T) {
			s := startEmbed(t)
			via := transport{"starttls", s.c2s}
			var cmd *exec.Cmd
			if name == "slixmpp" {
				cmd = slixmppCommand(t, s, via, alice, bob)
				cmd.Args[1] = filepath.Join("testdata", "slixmpp_embed.py")
			} else {
				cmd = xmppjsCommand(t, s, via, password, "embed", alice, bob)
			}
			x := start(t, name, cmd)
			for _, line := range []string{"carbons ok", "resumed ok"} {
				x.expect(t, line, limit)
			}
			x.done(t, limit)
		})
	}
}

// TestEmbedGoSendxmpp: a tool sends a message, and the sender's laptop gets a copy.
func TestEmbedGoSendxmpp(t *testing.T) {
	s := startEmbed(t)
	via := transport{"starttls", s.c2s}
	devices := []*person{
		appear(t, "alice's laptop", slixmppCommand(t, s, via, "driven", "alice@localhost/laptop", "roster")),
		appear(t, "bob's laptop", slixmppCommand(t, s, via, "driven", "bob@localhost/laptop", "roster")),
	}
	for _, d := range devices {
		d.does(t, "carbons", "on")
		d.sees(t, "carbons on") // and is available
	}
	cmd := command([]string{"SSL_CERT_FILE=" + s.certificate}, program(t, "go-sendxmpp", "go-sendxmpp"),
		"-u", "alice@localhost", "-p", password, "-j", via.addr, "bob@localhost")
	cmd.Stdin = strings.NewReader("one line\n")
	start(t, "go-sendxmpp", cmd).done(t, limit)
	devices[0].expect(t, "copy sent alice@localhost/", limit)
	devices[1].expect(t, "message alice@localhost/", limit)
	for _, d := range devices {
		d.leaves(t)
	}
}
