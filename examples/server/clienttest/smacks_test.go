//go:build clients

package clienttest

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"testing"
)

// TestResume: XEP-0198 by the clients' own code, over connections that are
// destroyed, a restart of the server, and a kill: the session goes on, and every
// message is there once and in order.
func TestResume(t *testing.T) {
	for _, c := range []struct {
		name    string
		command func(t *testing.T, s *server, via transport) *exec.Cmd
		address func(via transport) string // as the client wants it
	}{
		{"slixmpp", func(t *testing.T, s *server, via transport) *exec.Cmd {
			return slixmppCommand(t, s, via, "resume", alice, bob)
		}, func(via transport) string { return via.addr }},
		{"xmpp.js", func(t *testing.T, s *server, via transport) *exec.Cmd {
			return xmppjsCommand(t, s, via, password, "resume", alice, bob)
		}, service},
	} {
		for i, name := range []string{"starttls", "direct"} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				s := startServer(t)
				s.ownServerOnly(t)
				cmd := c.command(t, s, s.transports()[i])
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				x := start(t, c.name, cmd)
				x.expect(t, "online", limit)
				for n, how := range []string{"cut", "stop", "kill", "cut"} {
					tell(t, in, "away "+how)
					switch how {
					case "stop":
						s.stop(t)
					case "kill":
						s.kill(t)
					}
					x.expect(t, fmt.Sprint("away ", n+1), limit)
					if how != "cut" {
						s.launch(t)
					}
					tell(t, in, "back "+c.address(s.transports()[i]))
					x.expect(t, fmt.Sprint("resumed ", n+1), limit)
				}
				tell(t, in, "leave")
				x.done(t, limit)
			})
		}
	}
}

// TestLeave: a client that ends its stream in order has no message twice, although it
// acknowledges only when it is asked.
func TestLeave(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "leave", alice, bob).done(t, limit)
		})
	}
}

func tell(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(w, line); err != nil {
		t.Fatal(err)
	}
}

// service is the address of a server in the form of @xmpp/client.
func service(via transport) string {
	if via.name != "direct" {
		return "xmpp://" + via.addr
	}
	_, port, _ := net.SplitHostPort(via.addr) // it was made by joining them
	return "xmpps://localhost:" + port        // the certificate is checked against the name
}
