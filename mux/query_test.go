package mux_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// asked is one request of ours and what came back.
type asked struct {
	mu sync.Mutex
	answer
}

type answer struct {
	called int
	reply  *mux.Stanza
	err    error
}

func (a *asked) f(_ context.Context, _ *mux.Event, reply *mux.Stanza, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer{a.called + 1, reply, err}
}

func (a *asked) get() answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answer
}

func query(h *muxtest.Host, from, to, id string) *asked {
	a := new(asked)
	c := mux.RawChild(name("urn:x", "x"), "<x xmlns='urn:x'/>")
	h.Mux().Query(context.Background(), mux.Make(mux.Head{Kind: mux.IQ, Type: "get", ID: id, From: addr(from), To: addr(to)}, c), a.f)
	h.Settle()
	return a
}

func TestQueryMatching(t *testing.T) {
	t.Parallel()
	const bare = "romeo@example.net"
	for _, tt := range []struct {
		name, from, to string
		peer           string // who answers: romeo, juliet or example.org
		reply          string
		matches        bool
	}{
		{"of the account", bare, romeoFull, "romeo", "<iq type='result' id='1' to='" + bare + "'/>", true},
		{"without to", bare, romeoFull, "romeo", "<iq type='result' id='1'/>", true},
		{"error", bare, romeoFull, "romeo", "<iq type='error' id='1'><error/></iq>", true},
		{"of the host", "example.net", romeoFull, "romeo", "<iq type='result' id='1' to='example.net'/>", true},
		{"of the host, with a resource", "example.net", romeoFull, "romeo", "<iq type='result' id='1' to='example.net/x'/>", true},
		{"remote", bare, "nurse@example.org/x", "example.org", "<iq type='result' id='1' to='" + bare + "' from='nurse@example.org/x'/>", true},
		{"remote to the host", "example.net", "example.org", "example.org", "<iq type='result' id='1' to='example.net' from='example.org'/>", true},
		{"other id", bare, romeoFull, "romeo", "<iq type='result' id='2'/>", false},
		{"other account", bare, romeoFull, "juliet", "<iq type='result' id='1' to='" + bare + "'/>", false},
		{"to the host, asked by the account", bare, romeoFull, "romeo", "<iq type='result' id='1' to='example.net'/>", false},
		{"to the account, asked by the host", "example.net", romeoFull, "romeo", "<iq type='result' id='1'/>", false},
		{"remote, other resource", bare, "nurse@example.org/x", "example.org", "<iq type='result' id='1' to='" + bare + "' from='nurse@example.org/y'/>", false},
		{"remote, bare", bare, "nurse@example.org/x", "example.org", "<iq type='result' id='1' to='" + bare + "' from='nurse@example.org'/>", false},
		{"local for remote", bare, "nurse@example.org/x", "juliet", "<iq type='result' id='1' to='" + bare + "'/>", false},
		{"remote for local", bare, romeoFull, "example.org", "<iq type='result' id='1' to='" + bare + "' from='nurse@example.org'/>", false},
		{"a message", bare, romeoFull, "romeo", "<message id='1' to='" + bare + "'/>", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil)
				peers := map[string]*muxtest.Client{"romeo": h.Connect(t, romeoFull), "juliet": h.Connect(t, julietFull),
					"example.org": h.DialDomain(t, mux.Server, "example.org")}
				a := query(h, tt.from, tt.to, "1")
				want := "<iq type='get' from='" + tt.from + "' to='" + tt.to + "' id='1'><x xmlns='urn:x'/></iq>"
				if addr(tt.to).Domain() == "example.org" {
					h.ExpectRouted("example.org", want)
				} else {
					peers["romeo"].Expect(want)
				}
				peers[tt.peer].Send(tt.reply)
				peers[tt.peer].Send(tt.reply) // a second answer is nobody's
				if tt.matches {
					if a := a.get(); a.called != 1 || a.err != nil || a.reply == nil || a.reply.ID() != "1" {
						t.Errorf("got %+v", a)
					}
					return
				}
				if a := a.get(); a.called != 0 {
					t.Errorf("matched: %+v", a)
				}
				time.Sleep(30*time.Second + 1)
				h.Settle()
				if a := a.get(); a.called != 1 || !errors.Is(a.err, mux.ErrTimeout) {
					t.Errorf("no timeout: %+v", a)
				}
			})
		})
	}
}

func TestQueryRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		h.AddAccount("romeo@example.net")
		h.RefuseRoute("example.org", stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound})
		for _, from := range []string{"romeo@example.net", "example.net"} {
			for _, to := range []string{"romeo@example.net/gone", "nobody@example.net/gone", "nurse@example.org"} {
				a := query(h, from, to, "").get()
				if a.called != 1 || a.err != nil || a.reply == nil || a.reply.Type() != "error" {
					t.Errorf("from %s to %s: got %+v", from, to, a)
				}
			}
		}
	})
}

func TestLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var later []*mux.Later
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			answers(r, "later", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				later = append(later, e.Later())
				return nil, nil
			})
			answers(r, "now", empty)
			answers(r, "run", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Later().Run(func(context.Context) (xmlstream.Marshaler, error) { return mux.Raw("<done xmlns='urn:x'/>"), nil })
				return nil, nil
			})
			answers(r, "regret", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Later()
				return nil, unavailable
			})
		}))
		romeo := h.Connect(t, romeoFull)
		ask := func(id, local, to string) string {
			return "<iq type='get' id='" + id + "' to='" + to + "'><" + local + " xmlns='" + nsToy + "'/></iq>"
		}
		result := func(id, from, in string) string {
			return "<iq type='result' id='" + id + "' from='" + from + "' to='" + romeoFull + "'>" + in + "</iq>"
		}
		romeo.Send(ask("1", "later", "example.net"), ask("2", "later", "romeo@example.net"), ask("3", "now", "example.net"))
		romeo.Expect(result("3", "example.net", "")) // the others' turns are over
		romeo.ExpectNone()
		later[1].Reply(mux.Raw("<x xmlns='urn:x'/>"), nil)
		later[1].Reply(nil, nil)
		romeo.Expect(result("2", "romeo@example.net", "<x xmlns='urn:x'/>"))
		time.Sleep(30*time.Second + 1)
		romeo.Expect(refused("iq", "example.net", romeoFull, "1", "wait", "internal-server-error"))
		later[0].Reply(nil, nil)
		romeo.ExpectNone()

		romeo.Send(ask("4", "run", "example.net"))
		romeo.Expect(result("4", "example.net", "<done xmlns='urn:x'/>"))
		romeo.Send(ask("5", "regret", "example.net"))
		romeo.Expect(refused("iq", "example.net", romeoFull, "5", "cancel", "service-unavailable"))
		time.Sleep(time.Minute)
		romeo.ExpectNone()
	})
}

// An answer comes before the effects that Then asks for.
func TestThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			answers(r, "push", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Then(func(_ context.Context, e *mux.Event) {
					push := mux.Make(mux.Head{Kind: mux.Message, From: e.Account, ID: "push"})
					if n := e.Deliver(mux.Item{Stanza: push}, e.Sessions()...); n != 2 {
						t.Errorf("%d sessions took the push", n)
					}
				})
				return nil, nil
			})
		}))
		romeo, other := h.Connect(t, romeoFull), h.Connect(t, "romeo@example.net/other")
		romeo.Send("<iq type='get' id='1'><push xmlns='" + nsToy + "'/></iq>")
		romeo.Expect("<iq type='result' id='1' from='romeo@example.net' to='"+romeoFull+"'/>",
			"<message id='push' from='romeo@example.net' to='"+romeoFull+"'/>")
		other.Expect("<message id='push' from='romeo@example.net' to='romeo@example.net/other'/>")
	})
}
