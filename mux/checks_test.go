package mux_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestProbingSeesNothing is core-im DL-30: who asks an account that does not
// exist, one that does, or a resource that does not, gets the same answer to the
// byte, the address aside.
func TestProbingSeesNothing(t *testing.T) {
	t.Parallel()
	for _, stanza := range []string{
		"<iq type='get' id='1' to='ADDR'><x xmlns='urn:x'/></iq>",
		"<iq type='set' id='1' to='ADDR'><x xmlns='urn:x'/></iq>",
		"<iq type='get' id='1' to='ADDR/none'><x xmlns='urn:x'/></iq>",
		"<message id='1' to='ADDR/none'><body>x</body></message>",
		"<message type='groupchat' id='1' to='ADDR'><body>x</body></message>",
		"<message type='chat' id='1' to='ADDR'><body>x</body></message>",
		"<message type='chat' id='1' to='ADDR/none'><body>x</body></message>",
		"<message type='headline' id='1' to='ADDR'><body>x</body></message>",
		"<presence type='probe' id='1' to='ADDR'/>",
		"<presence type='subscribe' id='1' to='ADDR/none'/>",
		"<presence id='1' to='ADDR'/>",
	} {
		t.Run(stanza, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil)
				h.AddAccount("idle@example.net")
				h.Connect(t, "bound@example.net/x")
				romeo, org := h.Connect(t, romeoFull), h.DialDomain(t, mux.Server, "example.org")
				var local, remote []string
				for _, account := range []string{"nobody@example.net", "idle@example.net", "bound@example.net"} {
					text := strings.Replace(stanza, "ADDR", account, 1)
					romeo.Send(text)
					local = append(local, strings.ReplaceAll(strings.Join(romeo.Arrived(), "\n"), account, "ADDR"))
					romeo.Clear()
					org.Send(strings.Replace(text, " id=", " from='nurse@example.org/x' id=", 1))
					remote = append(remote, strings.ReplaceAll(strings.Join(h.Routed("example.org"), "\n"), account, "ADDR"))
				}
				for _, got := range [][]string{local, remote} {
					if got[0] != got[1] || got[0] != got[2] {
						t.Errorf("answers differ:\nnone:  %s\nidle:  %s\nbound: %s", got[0], got[1], got[2])
					}
				}
			})
		})
	}
}

func TestClientStanzaChecks(t *testing.T) {
	t.Parallel()
	const bad, jidBad = "bad-request", "jid-malformed"
	for _, tt := range []struct{ name, stanza, condition, closed string }{
		{"no id", "<iq type='get' to='example.net'><x xmlns='urn:x'/></iq>", bad, ""},
		{"no type", "<iq id='1' to='example.net'><x xmlns='urn:x'/></iq>", bad, ""},
		{"odd type", "<iq id='1' type='odd' to='example.net'><x xmlns='urn:x'/></iq>", bad, ""},
		{"get without payload", "<iq id='1' type='get' to='example.net'/>", bad, ""},
		{"get with two payloads", "<iq id='1' type='get' to='example.net'><x xmlns='urn:x'/><x xmlns='urn:x'/></iq>", bad, ""},
		{"result with two payloads", "<iq id='1' type='result' to='" + julietFull + "'><x xmlns='urn:x'/><x xmlns='urn:x'/></iq>", "", ""},
		{"result without id", "<iq type='result' to='" + julietFull + "'/>", "", ""},
		{"error without error", "<iq id='1' type='error' to='" + julietFull + "'/>", "", ""},
		{"presence of odd type", "<presence id='1' type='odd' to='" + julietFull + "'/>", bad, ""},
		{"malformed to", "<message id='1' to='@example.net'/>", jidBad, ""},
		{"malformed to of a request", "<iq id='1' type='get' to='a@b@c'><x xmlns='urn:x'/></iq>", jidBad, ""},
		{"malformed to of an error", "<message id='1' type='error' to='@'><error/></message>", "", ""},
		{"malformed to of a result", "<iq id='1' type='result' to='@'/>", "", ""},
		{"spoofed from", "<message from='" + julietFull + "' to='" + julietFull + "'/>", "", "invalid-from"},
		{"other resource", "<message from='romeo@example.net/other' to='" + julietFull + "'/>", "", "invalid-from"},
		{"malformed from", "<message from='@' to='" + julietFull + "'/>", "", "invalid-from"},
		{"unknown element", "<x xmlns='urn:x'/>", "", "unsupported-stanza-type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil)
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				romeo.Send(tt.stanza)
				if tt.condition != "" {
					got := romeo.Next()
					if !strings.Contains(got, "<error type='modify'><"+tt.condition+" ") || !strings.Contains(got, " to='"+romeoFull+"'") {
						t.Errorf("got %s", got)
					}
					if tt.condition == jidBad && !strings.Contains(got, " from='"+strings.Split(strings.Split(tt.stanza, "to='")[1], "'")[0]+"'") {
						t.Errorf("not from the address as written: %s", got)
					}
				}
				if tt.closed != "" {
					romeo.ExpectClosed(tt.closed)
				}
				romeo.ExpectNone()
				juliet.ExpectNone()
			})
		})
	}
}

func TestFromIsStamped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		for _, from := range []string{"", " from='romeo@example.net'", " from='" + romeoFull + "'", " from='ROMEO@example.net'"} {
			romeo.Send("<message" + from + " to='" + julietFull + "'/>")
			juliet.Expect("<message from='" + romeoFull + "' to='" + julietFull + "'/>")
		}
	})
}

func TestNothingBeforeBind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		c := h.Dial(t, "romeo@example.net")
		s, err := mux.Parse([]byte("<message to='" + julietFull + "'/>"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Stream.Receive(t.Context(), s); err == nil {
			t.Error("a stanza was accepted without a session")
		}
		c.ExpectClosed("not-authorized")
	})
}

func TestServerStreamChecks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, stanza, closed string }{
		{"no from", "<message to='" + julietFull + "'/>", "improper-addressing"},
		{"malformed from", "<message from='@' to='" + julietFull + "'/>", "improper-addressing"},
		{"no to", "<message from='a@example.org'/>", "improper-addressing"},
		{"foreign from", "<message from='a@example.com' to='" + julietFull + "'/>", "invalid-from"},
		{"subdomain", "<message from='a@x.example.org' to='" + julietFull + "'/>", "invalid-from"},
		{"domain not served", "<message from='a@example.org' to='b@example.com'/>", "host-unknown"},
		{"nonza", "<x xmlns='urn:x'/>", "unsupported-stanza-type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil)
				juliet := h.Connect(t, julietFull)
				org := h.DialDomain(t, mux.Server, "example.org")
				org.Send(tt.stanza)
				org.ExpectClosed(tt.closed)
				juliet.ExpectNone()
			})
		})
	}
}

// Malformed to of another server: an error, and the stream goes on (core-im AD-5).
func TestServerMalformedTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		juliet := h.Connect(t, julietFull)
		org := h.DialDomain(t, mux.Server, "example.org")
		org.Send("<message from='a@example.org' to='@' id='1'/>", "<message from='a@example.org' to='"+julietFull+"' id='2'/>")
		h.ExpectRouted("example.org", "<message type='error' from='@' to='a@example.org' id='1'>{*}</message>")
		juliet.Expect("<message from='a@example.org' to='" + julietFull + "' id='2'/>")
	})
}

// DL-35: if all of the highest priority are away, those that are there get it too.
func TestTopHibernating(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, &smacks{keep: time.Hour})
		romeo := h.Connect(t, romeoFull)
		phone, desk := h.Connect(t, "juliet@example.net/phone"), h.Connect(t, "juliet@example.net/desk")
		phone.Send("<enable xmlns='"+nsSM+"'/>", "<presence><priority>5</priority></presence>")
		desk.Send("<presence/>")
		phone.Drop()
		romeo.Send("<message to='juliet@example.net' id='1'><body>x</body></message>")
		desk.Expect("<message from='" + romeoFull + "' to='juliet@example.net' id='1'><body>x</body></message>")
		again := h.Dial(t, "juliet@example.net")
		again.Send("<resume xmlns='" + nsSM + "' h='0' previd='" + phone.Session.ID().String() + "'/>")
		again.Expect("<resumed xmlns='"+nsSM+"' h='1' previd='*'/>",
			"<message from='"+romeoFull+"' to='juliet@example.net' id='1'><body>x</body></message>", "<r xmlns='"+nsSM+"'/>")
	})
}
