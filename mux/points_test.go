package mux_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	romeoFull  = "romeo@example.net/orchard"
	julietFull = "juliet@example.net/balcony"
)

func TestGuardRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Guard(mux.ToAccount, mux.Message|mux.IQ, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				if e.Account.Local() != "juliet" {
					return mux.Pass, nil
				}
				return mux.Pass, stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
			})
		}))
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		romeo.Send("<message to='"+julietFull+"' id='1'><body>x</body></message>",
			"<message to='"+julietFull+"' id='2' type='error'><error/></message>",
			"<iq to='"+julietFull+"' id='3' type='get'><x xmlns='urn:x'/></iq>",
			"<iq to='"+julietFull+"' id='4' type='result'/>")
		romeo.Expect(refused("message", julietFull, romeoFull, "1", "auth", "forbidden"),
			refused("iq", julietFull, romeoFull, "3", "auth", "forbidden"))
		romeo.ExpectNone()
		juliet.ExpectNone()
	})
}

func TestHandlerErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, stanza string
		err          error
		verdict      mux.Verdict
		want         []string
		closed       string
	}{
		{"application error", "<message to='" + julietFull + "' id='1'><x xmlns='urn:x'/></message>",
			&mux.Error{Stanza: unavailable, App: "<why xmlns='urn:why'/>", Payload: true}, mux.Pass,
			[]string{"<message type='error' from='" + julietFull + "' to='" + romeoFull + "' id='1'><x xmlns='urn:x'/><error type='cancel'>" +
				"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><why xmlns='urn:why'/></error></message>"}, ""},
		{"error with a payload of its own", "<message to='" + julietFull + "' id='1'><x xmlns='urn:x'/></message>",
			&mux.Error{Stanza: unavailable, App: "<why xmlns='urn:why'/>", Body: "<y xmlns='urn:y'/>"}, mux.Pass,
			[]string{"<message type='error' from='" + julietFull + "' to='" + romeoFull + "' id='1'><y xmlns='urn:y'/><error type='cancel'>" +
				"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><why xmlns='urn:why'/></error></message>"}, ""},
		{"stream error", "<message to='" + julietFull + "'/>", stream.PolicyViolation, mux.Pass, nil, "policy-violation"},
		{"other error, message", "<message to='" + julietFull + "' id='1'/>", errors.New("broken"), mux.Pass,
			[]string{refused("message", julietFull, romeoFull, "1", "wait", "internal-server-error")}, ""},
		{"other error, presence", "<presence/>", errors.New("broken"), mux.Pass, nil, ""},
		{"other error, request", "<iq type='get' id='1'><x xmlns='urn:x'/></iq>", errors.New("broken"), mux.Pass,
			[]string{refused("iq", "romeo@example.net", romeoFull, "1", "wait", "internal-server-error")}, ""},
		{"dropped message", "<message to='" + julietFull + "' id='1'/>", nil, mux.Done, nil, ""},
		{"dropped request", "<iq type='get' id='1'><x xmlns='urn:x'/></iq>", nil, mux.Done,
			[]string{refused("iq", "romeo@example.net", romeoFull, "1", "cancel", "service-unavailable")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, with(func(r *mux.Registry) {
					r.Guard(mux.FromPeer, mux.AnyStanza, func(context.Context, *mux.Event) (mux.Verdict, error) { return tt.verdict, tt.err })
				}))
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				romeo.Send(tt.stanza)
				romeo.Expect(tt.want...)
				if tt.closed != "" {
					romeo.ExpectClosed(tt.closed)
				}
				romeo.ExpectNone()
				juliet.ExpectNone()
			})
		})
	}
}

// tracer notes what passes, in all phases of all points.
type tracer struct {
	label string
	log   *[]string
}

func (x tracer) Name() string { return x.label }

func (x tracer) Register(r *mux.Registry) error {
	for _, p := range []mux.Point{mux.FromPeer, mux.FromAccount, mux.ToAccount} {
		note := func(phase string) mux.Handler {
			return func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				*x.log = append(*x.log, p.String()+" "+phase+" "+x.label+" "+e.Account.String())
				return mux.Pass, nil
			}
		}
		r.Observe(p, mux.Message, func(ctx context.Context, e *mux.Event) { _, _ = note("observe")(ctx, e) })
		r.Modify(p, mux.Message, note("modify"))
		r.Guard(p, mux.Message, note("guard"))
	}
	return nil
}

func TestPhasesThenArgumentOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		h := muxtest.New(t, nil, tracer{"one", &log}, tracer{"two", &log})
		h.Connect(t, julietFull)
		h.Connect(t, romeoFull).Send("<message to='" + julietFull + "'/>")
		var want []string
		for _, step := range []struct{ point, account string }{
			{"FromPeer", "romeo@example.net"}, {"FromAccount", "romeo@example.net"}, {"ToAccount", "juliet@example.net"}} {
			for _, phase := range []string{"guard", "modify", "observe"} {
				for _, x := range []string{"one", "two"} {
					want = append(want, step.point+" "+phase+" "+x+" "+step.account)
				}
			}
		}
		// Observers run when the stanza has passed both points of its own account.
		slices.SortStableFunc(want, func(a, b string) int { return rank(a) - rank(b) })
		if !slices.Equal(log, want) {
			t.Errorf("got  %q\nwant %q", log, want)
		}
	})
}

func rank(s string) int {
	switch {
	case s[:2] == "To":
		return 2
	case bytes.Contains([]byte(s), []byte("observe")):
		return 1
	}
	return 0
}

func TestModify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		add := func(local string) mux.Handler {
			return func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				e.Stanza = e.Stanza.With(mux.RawChild(name(nsToy, local), "<"+local+" xmlns='"+nsToy+"'/>"))
				return mux.Pass, nil
			}
		}
		var seen []string
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Modify(mux.FromPeer, mux.Message, add("a"))
			r.Modify(mux.FromAccount, mux.Message, add("b"))
			r.Modify(mux.ToAccount, mux.Message, add("c"))
			r.Observe(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) {
				seen = append(seen, string(e.Stanza.Append(nil, "")))
			})
		}))
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		romeo.Send("<message to='" + julietFull + "'><body>x</body></message>")
		want := "<message from='" + romeoFull + "' to='" + julietFull + "'><body>x</body><a xmlns='" + nsToy + "'/><b xmlns='" + nsToy + "'/><c xmlns='" + nsToy + "'/></message>"
		juliet.Expect(want)
		if !slices.Equal(seen, []string{want}) {
			t.Errorf("observer saw %q", seen)
		}
	})
}

func TestObserverSeesTargets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var targets []string
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Observe(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) {
				for _, s := range e.Targets {
					targets = append(targets, s.JID().Resource())
				}
			})
		}))
		romeo := h.Connect(t, romeoFull)
		for resource, priority := range map[string]string{"a": "5", "b": "5", "c": "1"} {
			h.Connect(t, "juliet@example.net/"+resource).Send("<presence><priority>" + priority + "</priority></presence>")
		}
		romeo.Send("<message to='juliet@example.net'><body>x</body></message>")
		slices.Sort(targets)
		if !slices.Equal(targets, []string{"a", "b"}) {
			t.Errorf("targets %q", targets)
		}
	})
}

// Whatever leaves an account passes FromAccount, but what others send does not.
func TestFromAccountOfServerMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Guard(mux.FromAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				log = append(log, e.Account.String()+" "+e.Stanza.ID())
				return mux.Pass, nil
			})
			r.Guard(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				t.Errorf("FromPeer saw %s", e.Stanza.ID())
				return mux.Pass, nil
			})
		}))
		juliet := h.Connect(t, julietFull)
		for _, s := range []struct{ from, id string }{
			{"romeo@example.net", "own"}, {"nurse@example.org", "remote"}, {"example.net", "host"}} {
			st := mux.Make(mux.Head{Kind: mux.Message, ID: s.id, From: addr(s.from), To: addr(julietFull)})
			if err := h.Mux().Inject(t.Context(), mux.Item{Stanza: st}); err != nil {
				t.Error(err)
			}
		}
		h.Settle()
		if got := juliet.Arrived(); len(got) != 3 {
			t.Errorf("arrived: %q", got)
		}
		if !slices.Equal(log, []string{"romeo@example.net own"}) {
			t.Errorf("FromAccount saw %q", log)
		}
	})
}

func TestUndeliveredHandlers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		keep := func(label string, takes string) func(r *mux.Registry) {
			return func(r *mux.Registry) {
				r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
					asked = append(asked, label+" "+e.Stanza.ID())
					if e.Stanza.ID() == takes {
						return mux.Done, nil
					}
					return mux.Pass, nil
				})
			}
		}
		h := muxtest.New(t, nil, ext{"one", keep("one", "1")}, ext{"two", keep("two", "2")})
		h.AddAccount("juliet@example.net")
		romeo := h.Connect(t, romeoFull)
		for _, id := range []string{"1", "2", "3"} {
			romeo.Send("<message to='juliet@example.net' type='chat' id='" + id + "'><body>x</body></message>")
		}
		romeo.Expect(refused("message", "juliet@example.net", romeoFull, "3", "cancel", "service-unavailable"))
		romeo.Send("<message to='juliet@example.net' type='chat' id='4'><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
		romeo.ExpectNone()
		if want := []string{"one 1", "one 2", "two 2", "one 3", "two 3", "one 4", "two 4"}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
	})
}
