package mux_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// When a bind replaces a session, that one has ended completely before (core-im
// LC-12, COMB-9).
func TestBindConflict(t *testing.T) {
	t.Parallel()
	for _, hibernating := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log []string
			st := new(store)
			h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st, with(func(r *mux.Registry) {
				r.Lifecycle(mux.Lifecycle{
					Bound: func(_ context.Context, e *mux.Event) {
						log = append(log, "bound "+fmt.Sprint(len(e.Sessions()), st.len()))
					},
					Closed: func(_ context.Context, e *mux.Event) { log = append(log, "closed "+e.Session.JID().Resource()) },
				})
			}))
			romeo, old := h.Connect(t, romeoFull), enabled(t, h)
			romeo.Send(send("1")...)
			old.Expect(message("1"))
			if hibernating {
				old.Drop()
			}
			log = nil
			again := h.Connect(t, julietFull)
			if !hibernating {
				old.ExpectClosed("conflict")
			}
			if old.Session.State() != mux.Gone {
				t.Errorf("the old session is %s", old.Session.State())
			}
			if want := []string{"closed balcony", "bound 1 1"}; !slices.Equal(log, want) {
				t.Errorf("got %q, want %q", log, want)
			}
			st.want(t, "1 replay delayed")
			romeo.Send(send("2")...)
			again.Expect(message("2"))
			again.ExpectNone()
			old.ExpectNone()
		})
	}
}

func TestBindErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{MaxSessions: 2}, &smacks{keep: time.Hour})
		a := h.Connect(t, "juliet@example.net/a")
		bind := func(o *mux.BindOptions) error {
			c := h.Dial(t, "juliet@example.net")
			s, err := c.Stream.Bind(t.Context(), o)
			if (s == nil) != (err != nil) {
				t.Errorf("session %v, error %v", s, err)
			}
			return err
		}
		if err := bind(&mux.BindOptions{Resource: "a", KeepOld: true}); !errors.Is(err, mux.ErrConflict) {
			t.Errorf("KeepOld: %v", err)
		}
		a.ExpectNone()
		b := h.Connect(t, "juliet@example.net/b")
		b.Send("<enable xmlns='" + nsSM + "'/>")
		b.Drop() // hibernating ones count
		if err := bind(nil); !errors.Is(err, mux.ErrLimit) {
			t.Errorf("third: %v", err)
		}
		if err := bind(&mux.BindOptions{Resource: "b"}); err != nil {
			t.Errorf("in place of another: %v", err)
		}
		if err := bind(&mux.BindOptions{Resource: "\u0007"}); err == nil {
			t.Error("a malformed resource was bound")
		}
		c := h.Dial(t, "romeo@example.net")
		if s, err := c.Stream.Bind(t.Context(), nil); err != nil || len(s.JID().Resource()) < 20 {
			t.Errorf("made-up resource: %v %v", s, err)
		}
		closed := h.Dial(t, "romeo@example.net")
		closed.Stream.Close(nil)
		if _, err := closed.Stream.Bind(t.Context(), nil); !errors.Is(err, mux.ErrClosed) {
			t.Errorf("closed stream: %v", err)
		}
		if _, err := h.Mux().NewStream(new(nopConn), mux.Client).Bind(t.Context(), nil); err == nil {
			t.Error("bound without an account")
		}
	})
}

// What sinks say when they are attached, and what comes to the session, is
// behind what Kept writes.
func TestBindOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Lifecycle(mux.Lifecycle{Attached: func(s *mux.Session) { _ = s.Wire().Put(nonza("<hello xmlns='" + nsToy + "'/>")) }})
		}))
		c := h.Dial(t, "juliet@example.net")
		c.Bind(&mux.BindOptions{Resource: "balcony", Kept: func(_ context.Context, e *mux.Event) {
			if err := e.Session.Stream().Conn().Write([]byte("<bound xmlns='" + nsToy + "'/>")); err != nil {
				t.Error(err)
			}
		}})
		c.Expect("<bound xmlns='"+nsToy+"'/>", "<hello xmlns='"+nsToy+"'/>")
	})
}

// member is an inline member that notes its steps.
type member struct {
	name string
	at   mux.InlineAt
	log  *[]string
	fail bool
}

func (x member) Name() string { return x.name }

func (x member) Register(r *mux.Registry) error {
	r.Inline(mux.Inline{Name: xml.Name{Space: nsToy, Local: x.name}, At: x.at,
		Step: func(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
			*x.log = append(*x.log, x.name+" "+e.Account.String()+" "+e.Element.Attr("v"))
			if x.fail {
				return nil, errTest
			}
			if x.at == mux.InBind {
				e.Session.Sync(func() {})
			}
			return mux.Raw("<" + x.name + "ed xmlns='" + nsToy + "'/>"), nil
		}})
	return nil
}

func TestInlineMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		h := muxtest.New(t, nil, member{"a", mux.InBind, &log, false}, member{"b", mux.InBind, &log, true},
			member{"c", mux.InAuthenticate, &log, false}, member{"d", mux.InBind, &log, false})
		c := h.Dial(t, "juliet@example.net")
		el, err := mux.Parse([]byte("<bind xmlns='urn:xmpp:bind:0' xmlns:t='" + nsToy + "'><t:d v='1'/><c xmlns='" + nsToy + "'/><b xmlns='" + nsToy + "'/><t:a v='2'/><x/></bind>"))
		if err != nil {
			t.Fatal(err)
		}
		o := &mux.BindOptions{Resource: "balcony", Inline: el.Children()}
		c.Bind(o)
		// In order of registration, whatever the client's.
		if want := []string{"a juliet@example.net 2", "b juliet@example.net ", "d juliet@example.net 1"}; !slices.Equal(log, want) {
			t.Errorf("steps %q", log)
		}
		var replies []string
		for _, r := range o.InlineReply {
			child, err := mux.NewChild(r)
			if err != nil {
				t.Fatal(err)
			}
			replies = append(replies, child.Name.Local)
		}
		if want := []string{"aed", "ded"}; !slices.Equal(replies, want) {
			t.Errorf("replies %q", replies)
		}
		// Those of SASL2 are stepped by whoever negotiates.
		var names []string
		for _, in := range h.Mux().Inlines() {
			if in.At == mux.InAuthenticate {
				names = append(names, in.Name.Local)
				if _, err := in.Step(t.Context(), &mux.InlineEvent{Stream: c.Stream, Account: c.Stream.Account(), Element: el.Children()[1]}); err != nil {
					t.Error(err)
				}
			}
		}
		if !slices.Equal(names, []string{"c"}) || log[len(log)-1] != "c juliet@example.net " {
			t.Errorf("names %q, steps %q", names, log)
		}
	})
}
