package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/sasl2"
)

// saslLogin is authenticate on a stream whose features were read.
func (p *peer) saslLogin(user, secret string) string {
	p.t.Helper()
	p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + encode("\x00"+user+"\x00"+secret) + "</auth>")
	answer := p.until("</failure>", "/>")
	if strings.HasPrefix(answer, "<success") {
		return "success"
	}
	return between(answer+p.until(">"), "><", "/>")
}

// TestGuesses: passwords and tokens that are tried by both profiles count together, for
// names that nobody has like for others, and after five of them the right one waits as
// well (auth-register AB-2).
func TestGuesses(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"alice", "nobody"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			operate(t, data, password, "user", "add", "alice@example.org")
			s := launch(t, data, "-domain", "example.org", "-limits", "on")
			guess := func(p *peer, way int) {
				t.Helper()
				var got string
				switch way {
				case 0:
					got = p.saslLogin(user, "wrong")
				case 1:
					got, _ = p.sasl2Login("PLAIN", "\x00"+user+"\x00wrong", "")
				case 2:
					m, _ := sasl2.ParseHT("HT-SHA-256-NONE")
					got, _ = p.sasl2Login(m.Name(), string(m.Initial(user, "wrong", nil)), "<fast xmlns='urn:xmpp:fast:0'/>")
				}
				if got != "not-authorized" {
					t.Errorf("guess: %s", got)
				}
			}
			p, _ := as(t, s.addr, user)
			for way := range 3 {
				guess(p, way)
			}
			p.close()
			p, _ = as(t, s.addr, user)
			guess(p, 0)
			guess(p, 1)
			p.close()
			for way := range 2 {
				p, _ = as(t, s.addr, "alice")
				before, got := time.Now(), ""
				switch way {
				case 0:
					got, _ = p.sasl2Login("PLAIN", "\x00alice\x00"+password, "")
				case 1:
					got = p.saslLogin("alice", password)
				}
				p.close()
				if d := time.Since(before); got != "success" || d < 500*time.Millisecond {
					t.Errorf("right password in way %d: %s after %v", way, got, d)
				}
			}
			s.stop()
		})
	}
}
