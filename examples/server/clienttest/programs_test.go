//go:build clients

package clienttest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// python is Debian's interpreter, the one that sees Debian's packages.
const python = "/usr/bin/python3"

// noSlixmpp is why slixmpp cannot be used.
var noSlixmpp = sync.OnceValue(func() error { return exec.Command(python, "-c", "import slixmpp").Run() })

// slixmpp starts testdata/slixmpp_client.py.
func slixmpp(t *testing.T, s *server, via transport, args ...string) *console {
	t.Helper()
	return start(t, "slixmpp", slixmppCommand(t, s, via, args...))
}

func slixmppCommand(t *testing.T, s *server, via transport, args ...string) *exec.Cmd {
	t.Helper()
	if noSlixmpp() != nil {
		t.Fatal("slixmpp is missing: apt-get install --no-install-recommends python3-slixmpp")
	}
	env := []string{
		"ADDR=" + via.addr, "TLS=" + via.name, "PASSWORD=" + password,
		"SSL_CERT_FILE=" + s.certificate, "PYTHONUNBUFFERED=1",
	}
	args = append([]string{filepath.Join("testdata", "slixmpp_client.py")}, args...)
	return command(env, python, args...)
}

// xmppjs starts testdata/xmpp_client.mjs beside the modules it imports; Node
// looks for them next to the script only.
func xmppjs(t *testing.T, s *server, via transport, word string, args ...string) *console {
	t.Helper()
	return start(t, "xmpp.js", xmppjsCommand(t, s, via, word, args...))
}

func xmppjsCommand(t *testing.T, s *server, via transport, word string, args ...string) *exec.Cmd {
	t.Helper()
	modules := os.Getenv("CLIENTTEST_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "@xmpp", "client")); modules == "" || err != nil {
		t.Fatal("@xmpp/client is missing: npm install --no-audit --no-fund --ignore-scripts @xmpp/client@0.14.0 ws@8.18.0, " +
			"and set CLIENTTEST_NODE_MODULES to the absolute path of node_modules")
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "xmpp_client.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "xmpp_client.mjs")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	service := "xmpp://" + via.addr
	if via.name == "direct" {
		// The certificate is checked against the name in the URI.
		_, port, err := net.SplitHostPort(via.addr)
		if err != nil {
			t.Fatal(err)
		}
		service = "xmpps://localhost:" + port
	}
	env := []string{"SERVICE=" + service, "PASSWORD=" + word, "NODE_EXTRA_CA_CERTS=" + s.certificate}
	return command(env, program(t, "node", "nodejs"), append([]string{path}, args...)...)
}
