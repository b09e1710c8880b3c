package blocking_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// cell is one kind and type of stanza, and the condition that its sender gets when
// the two are blocked: in for what comes from somebody blocked (core-im BL-4), out for
// what goes there (BL-5); empty for nothing.
type cell struct{ kind, typ, in, out string }

const (
	unavailable = "service-unavailable"
	refused     = "not-acceptable"
)

var matrix = []cell{
	{"message", "", unavailable, refused},
	{"message", "normal", unavailable, refused},
	{"message", "chat", unavailable, refused},
	{"message", "bogus", unavailable, refused},
	{"message", "groupchat", "", refused},
	{"message", "headline", "", refused},
	{"message", "error", "", ""},
	{"presence", "", "", refused},
	{"presence", "unavailable", "", refused},
	{"presence", "subscribe", "", refused},
	{"presence", "subscribed", "", refused},
	{"presence", "unsubscribe", "", refused},
	{"presence", "unsubscribed", "", refused},
	{"presence", "probe", "", refused},
	{"presence", "error", "", ""},
	{"iq", "get", unavailable, refused},
	{"iq", "set", unavailable, refused},
	{"iq", "result", "", ""},
	{"iq", "error", "", ""},
}

// stanza is a stanza of that cell.
func (c cell) stanza(from, to string) string {
	typ, payload := "", map[string]string{"message": "<body>Hi</body>", "iq": "<query xmlns='urn:example'/>"}[c.kind]
	if c.typ != "" {
		typ = " type='" + c.typ + "'"
	}
	switch c.typ {
	case "error":
		payload = "<error type='cancel'><gone xmlns='" + mux.NSStanza + "'/></error>"
	case "result":
		payload = ""
	}
	return "<" + c.kind + typ + " from='" + from + "' to='" + to + "' id='1'>" + payload + "</" + c.kind + ">"
}

// refusal is the error for it.
func (c cell) refusal(condition, from, to string) string {
	app := ""
	if condition == refused {
		app = "<blocked xmlns='urn:xmpp:blocking:errors'/>"
	}
	return fmt.Sprintf("<%s type='error' from='%s' to='%s' id='1'><error type='cancel'><%s xmlns='%s'/>%s</error></%s>", c.kind, from, to, condition, mux.NSStanza, app, c.kind)
}

// peers are who is blocked: somebody at another server, of the same, and of a room
// service; with the items that block them.
var peers = []struct{ address, item string }{
	{"romeo@example.org/orchard", "romeo@example.org/orchard"},
	{"romeo@example.org/orchard", "romeo@example.org"},
	{"romeo@example.org/orchard", "example.org"},
	{"example.org", "example.org"},
	{"romeo@example.net/orchard", "romeo@example.net"},
	{"romeo@example.net/orchard", "example.net"},
}

// states of the account: how it is there when something arrives.
var states = []string{"online", "away", "silent", "offline"}

// TestFromBlocked: each cell of BL-4, to the bare and a full address, from all peers,
// in all states of the account.
func TestFromBlocked(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		for _, c := range matrix {
			for _, state := range states {
				for _, to := range []string{"juliet@example.net", julietFull} {
					t.Run(strings.Join([]string{p.item, c.kind, c.typ, state, to}, " "), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) { fromBlocked(t, p.address, p.item, c, state, to) })
					})
				}
			}
		}
	}
}

func fromBlocked(t *testing.T, peer, item string, c cell, state, to string) {
	h := muxtest.New(t, &mux.Options{NoRecover: true}, im(blocks(t, item), nil, contacts(t))...)
	h.AddAccount("juliet@example.net")
	var j *muxtest.Client
	if state != "offline" {
		j = h.Connect(t, julietFull)
		if state != "silent" {
			j.Send("<presence/>")
			j.Clear()
		}
		if state == "away" {
			j.Drop()
		}
	}
	h.Routed("example.org")
	var got []string
	if strings.HasPrefix(peer, "romeo@example.net") {
		r := h.Connect(t, peer)
		r.Send(c.stanza(peer, to))
		got = r.Arrived()
	} else {
		h.DialDomain(t, mux.Server, "example.org").Send(c.stanza(peer, to))
		got = h.Routed("example.org")
	}
	if state == "away" {
		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: j.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.ExpectNone()
	} else if j != nil {
		j.ExpectNone()
	}
	answered(t, got, c, c.in, to, peer)
}

// answered checks what the sender got.
func answered(t *testing.T, got []string, c cell, condition, from, to string) {
	t.Helper()
	switch {
	case condition == "" && len(got) > 0:
		t.Errorf("answered with %q", got)
	case condition != "" && len(got) != 1:
		t.Errorf("answered with %q", got)
	case condition != "":
		if err := muxtest.Match(c.refusal(condition, from, to), got[0], nil); err != nil {
			t.Error(err)
		}
	}
}

// TestToBlocked: each cell of BL-5, and nothing leaves.
func TestToBlocked(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		for _, c := range matrix {
			t.Run(strings.Join([]string{p.item, c.kind, c.typ}, " "), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := muxtest.New(t, &mux.Options{NoRecover: true}, im(blocks(t, p.item), nil, contacts(t))...)
					r := h.Connect(t, "romeo@example.net/orchard")
					r.Send("<presence/>")
					r.Clear()
					j := h.Connect(t, julietFull)
					j.Send(c.stanza(julietFull, p.address))
					answered(t, j.Arrived(), c, c.out, p.address, julietFull)
					r.ExpectNone()
					if got := h.Routed("example.org"); len(got) > 0 {
						t.Errorf("%q has left", got)
					}
				})
			})
		}
	}
}

// TestNotBlocked: the same cells get through where the list says something else.
func TestNotBlocked(t *testing.T) {
	t.Parallel()
	for _, c := range matrix {
		t.Run(c.kind+" "+c.typ, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ext := blocking.New(blocks(t, "example.com", "paris@example.org", "romeo@example.org/x"), nil)
				h := muxtest.New(t, &mux.Options{NoRecover: true}, ext)
				j, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
				j.Send(c.stanza(julietFull, romeoFull))
				h.ExpectRouted("example.org", c.stanza(julietFull, romeoFull))
				org.Send(c.stanza(romeoFull, julietFull))
				switch {
				case c.kind == "presence" && c.typ != "" && c.typ != "unavailable" && c.typ != "error":
					j.ExpectNone() // is for whoever knows subscriptions
				default:
					j.Expect(c.stanza(romeoFull, julietFull))
				}
			})
		})
	}
}

// TestLikeNobody: DL-30, who is blocked gets the answer of an account that does not
// exist, and of a session that does not, octet by octet.
func TestLikeNobody(t *testing.T) {
	t.Parallel()
	for _, c := range matrix {
		if c.in == "" {
			continue
		}
		for _, resource := range []string{"", "/balcony"} {
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, &mux.Options{NoRecover: true}, im(blocks(t, "romeo@example.org"), nil, contacts(t))...)
				h.Connect(t, julietFull).Send("<presence/>")
				org := h.DialDomain(t, mux.Server, "example.org")
				h.Routed("example.org")
				ask := func(name, resource string) string {
					org.Send(c.stanza(romeoFull, name+"@example.net"+resource))
					got := h.Routed("example.org")
					if len(got) != 1 {
						t.Fatalf("%s %s to %s%s: answered with %q", c.kind, c.typ, name, resource, got)
					}
					return strings.ReplaceAll(got[0], name+"@", "x@")
				}
				if blocked, nobody := ask("juliet", resource), ask("nobody", resource); blocked != nobody {
					t.Errorf("blocked by %s, nobody there %s", blocked, nobody)
				}
				if there, gone := ask("juliet", "/balcony"), ask("juliet", "/gone"); strings.ReplaceAll(there, "/balcony", "/gone") != gone {
					t.Errorf("there %s, gone %s", there, gone)
				}
			})
		}
	}
}

// TestInvitations: BL-7, what a room passes on for somebody blocked, and what they
// send themselves.
func TestInvitations(t *testing.T) {
	t.Parallel()
	const room, romeo = "room@rooms.example.com", "romeo@example.org"
	mediated := func(payload string) string {
		return "<message from='" + room + "' to='juliet@example.net' id='1'><x xmlns='http://jabber.org/protocol/muc#user'>" + payload + "</x><x xmlns='jabber:x:conference' jid='" + room + "'/></message>"
	}
	for _, tt := range []struct {
		name, stanza string
		want         bool // delivered
	}{
		{"mediated, blocked", mediated("<invite from='" + romeo + "'><reason>Come</reason></invite>"), false},
		{"mediated, blocked, by a resource", mediated("<invite from='Romeo@example.org/x'/>"), false},
		{"mediated, second of two", mediated("<invite from='paris@example.org'/><invite from='" + romeo + "'/>"), false},
		{"declined, blocked", mediated("<decline from='" + romeo + "'/>"), false},
		{"mediated, another", mediated("<invite from='paris@example.org'/>"), true},
		{"mediated, by nobody", mediated("<invite/>"), true},
		{"mediated, malformed", mediated("<invite from='@'/>"), true},
		{"mediated, own", mediated("<invite from='juliet@example.net/x'/>"), true},
		{"no invitation", mediated("<status code='104'/>"), true},
		{"another element", mediated("<item from='" + romeo + "'/>"), true},
		{"direct, another", "<message from='paris@example.org/x' to='juliet@example.net'><x xmlns='jabber:x:conference' jid='" + room + "'/></message>", true},
		{"direct, blocked", "<message from='" + romeo + "/x' to='juliet@example.net'><x xmlns='jabber:x:conference' jid='" + room + "'/></message>", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(blocks(t, romeo), nil))
				j := h.Connect(t, julietFull)
				j.Send("<presence/>")
				j.Clear()
				from := mux.MustParseAddress(strings.Split(tt.stanza, "'")[1]).Domain()
				h.DialDomain(t, mux.Server, from).Send(tt.stanza)
				if got := j.Arrived(); len(got) > 0 != tt.want {
					t.Errorf("arrived: %q", got)
				}
				if got := h.Routed(from); len(got) > 0 {
					t.Errorf("answered with %q", got)
				}
			})
		})
	}
}
