package mux_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const nsEcho = "urn:example:echo"

// echo is a service with an address for everything: what a request gets depends
// on its payload.
func echo(t *testing.T) mux.Extension {
	return with(func(r *mux.Registry) {
		r.Entity("echo.example.net", func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
			switch {
			case e.Stanza.Kind() == mux.Message:
				e.Send(ctx, e.Stanza.WithFrom(e.Stanza.To()).WithTo(e.Stanza.From()))
			case e.Stanza.Has(name(nsEcho, "reply")):
				e.Reply(ctx, mux.Raw("<done xmlns='"+nsEcho+"'/>"), nil)
				e.Reply(ctx, nil, unavailable) // too late
			case e.Stanza.Has(name(nsEcho, "forward")):
				e.Send(ctx, e.Stanza.WithTo(mux.MustParseAddress("gateway.example.org")))
				return mux.Done, nil
			case e.Stanza.Has(name(nsEcho, "refuse")):
				return mux.Done, stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
			case e.Stanza.Has(name(nsEcho, "later")):
				l := e.Later()
				l.Run(func(context.Context) (xmlstream.Marshaler, error) { return nil, nil })
				e.Reply(ctx, nil, unavailable) // it is promised already
			}
			if e.Account.Domain() != "echo.example.net" || !e.Account.IsBare() {
				t.Errorf("turn of %s", e.Account)
			}
			return mux.Pass, nil
		})
	})
}

func fill(answer, address, who string) string {
	return strings.NewReplacer("ADDR", address, "WHO", who).Replace(answer)
}

func TestEntity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, echo(t))
		romeo := h.Connect(t, romeoFull)
		org := h.DialDomain(t, mux.Server, "example.org")
		for _, tt := range []struct{ local, answer string }{
			{"reply", "<iq type='result' id='1' from='ADDR' to='WHO'><done xmlns='" + nsEcho + "'/></iq>"},
			{"refuse", "<iq type='error' id='1' from='ADDR' to='WHO'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"},
			{"later", "<iq type='result' id='1' from='ADDR' to='WHO'/>"},
			{"unknown", "<iq type='error' id='1' from='ADDR' to='WHO'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"},
		} {
			for _, to := range []string{"echo.example.net", "room@echo.example.net", "room@echo.example.net/nick", "echo.example.net/x"} {
				romeo.Send("<iq type='get' id='1' to='" + to + "'><" + tt.local + " xmlns='" + nsEcho + "'/></iq>")
				romeo.Expect(fill(tt.answer, to, romeoFull))
				romeo.ExpectNone()
				org.Send("<iq type='get' id='1' from='a@example.org/x' to='" + to + "'><" + tt.local + " xmlns='" + nsEcho + "'/></iq>")
				h.ExpectRouted("example.org", fill(tt.answer, to, "a@example.org/x"))
				if left := h.Routed("example.org"); len(left) > 0 {
					t.Errorf("a second answer: %s", left)
				}
			}
		}
		romeo.Send("<iq type='result' id='2' to='room@echo.example.net'/>", "<presence to='room@echo.example.net/nick'/>")
		romeo.ExpectNone()
		romeo.Send("<message to='room@echo.example.net/nick' id='3'><body>x</body></message>")
		romeo.Expect("<message from='room@echo.example.net/nick' to='" + romeoFull + "' id='3'><body>x</body></message>")
	})
}

// TestEntityForwards: a request that an entity passes on is answered by whoever
// gets it, and by nobody else.
func TestEntityForwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, echo(t))
		romeo := h.Connect(t, romeoFull)
		romeo.Send("<iq type='get' id='1' to='room@echo.example.net'><forward xmlns='" + nsEcho + "'/></iq>")
		romeo.ExpectNone()
		h.ExpectRouted("gateway.example.org", "<iq type='get' id='1' from='"+romeoFull+"' to='gateway.example.org'>{*}</iq>")
		org := h.DialDomain(t, mux.Component, "echo.example.net")
		org.Send("<iq type='result' id='1' from='room@echo.example.net' to='" + romeoFull + "'/>")
		romeo.Expect("<iq type='result' id='1' from='room@echo.example.net' to='" + romeoFull + "'/>")
	})
}

func TestEntityQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, echo(t))
		romeo := h.Connect(t, romeoFull)
		a := query(h, "room@echo.example.net", romeoFull, "1")
		romeo.Expect("<iq type='get' id='1' from='room@echo.example.net' to='" + romeoFull + "'>{*}</iq>")
		romeo.Send("<iq type='result' id='1' to='room@echo.example.net'/>")
		if a := a.get(); a.called != 1 || a.reply == nil {
			t.Errorf("got %+v", a)
		}
	})
}

// Requests to the server itself, from clients and from elsewhere.
func TestHostRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) { answers(r, "x", empty) }))
		romeo := h.Connect(t, romeoFull)
		org := h.DialDomain(t, mux.Component, "chat.example.org")
		for _, to := range []string{"example.net", "example.net/x"} {
			romeo.Send("<iq type='get' id='1' to='"+to+"'><x xmlns='"+nsToy+"'/></iq>", "<iq type='set' id='2' to='"+to+"'><x xmlns='"+nsToy+"'/></iq>",
				"<message to='"+to+"' id='3'/>", "<message type='error' to='"+to+"' id='4'/>", "<presence to='"+to+"'/>")
			romeo.Expect("<iq type='result' id='1' from='"+to+"' to='"+romeoFull+"'/>",
				refused("iq", to, romeoFull, "2", "cancel", "service-unavailable"), refused("message", to, romeoFull, "3", "cancel", "service-unavailable"))
			romeo.ExpectNone()
			org.Send("<iq type='get' id='5' from='chat.example.org' to='"+to+"'><x xmlns='"+nsToy+"'/></iq>",
				"<message id='6' from='chat.example.org' to='"+to+"'/>")
			got := ids(h.Routed("chat.example.org"))
			if got != "5 6" && got != "6 5" {
				t.Errorf("routed %s", got)
			}
		}
	})
}

// TestDomainLang: the language of a peer's stream is that of stanzas without one
// (RFC 6120 §4.7.4).
func TestDomainLang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo, org := h.Connect(t, romeoFull), h.DialDomain(t, mux.Component, "chat.example.org")
		org.Stream.SetLang("de")
		org.Send("<message from='chat.example.org' to='"+romeoFull+"'/>", "<message from='chat.example.org' to='"+romeoFull+"' xml:lang='fr'/>")
		romeo.Expect("<message from='chat.example.org' to='"+romeoFull+"' xml:lang='de'/>", "<message from='chat.example.org' to='"+romeoFull+"' xml:lang='fr'/>")
	})
}
