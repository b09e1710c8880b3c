package smacks_test

import (
	"context"
	"encoding/xml"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// sasl2 is as much of SASL2 as is needed to resume inside of it: its features are
// those of XEP-0388, and authentication has always succeeded.
type sasl2 struct{}

func (*sasl2) Name() string { return "sasl2" }

func (x *sasl2) Register(r *mux.Registry) error {
	name := xml.Name{Space: "urn:xmpp:sasl:2", Local: "authenticate"}
	r.Feature(mux.Feature{Name: "sasl2", Needs: mux.Secure, Forbids: mux.Bound, Owns: []xml.Name{name},
		Step: func(ctx context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
			for _, in := range st.Mux().Inlines() {
				child, ok := el.Child(in.Name)
				if in.At != mux.InAuthenticate || !ok {
					continue
				}
				e := &mux.InlineEvent{Stream: st, Account: st.Account(), Element: child}
				reply, err := in.Step(ctx, e)
				if err != nil || e.Become == nil {
					return mux.Outcome{Reply: success(reply)}, err
				}
				q := *e.Become
				resumed, refused := q.Reply, q.Refused
				q.Reply = func(s *mux.Session) xmlstream.Marshaler { return success(resumed(s)) }
				q.Refused = func(err error) xmlstream.Marshaler { return success(refused(err)) }
				return mux.Outcome{Become: &q}, nil
			}
			return mux.Outcome{Reply: success(nil)}, nil
		}})
	return nil
}

func success(inner xmlstream.Marshaler) xmlstream.Marshaler {
	raw := ""
	if inner != nil {
		c, err := mux.NewChild(inner)
		if err != nil {
			panic(err)
		}
		raw = c.Raw()
	}
	return mux.Raw("<success xmlns='urn:xmpp:sasl:2'>" + raw + "</success>")
}

// Resuming inside SASL2's authenticate (XEP-0198 §9.2): all that follows is behind
// success, and a refusal does not touch authentication.
func TestInlineResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{}, new(sasl2))
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Drop()
		auth := func(resume string) *muxtest.Client {
			c := s.Dial(t, "juliet@example.net")
			c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'>" + resume + "</authenticate>")
			return c
		}
		bad := auth("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='x'/>")
		bad.Expect("<success xmlns='urn:xmpp:sasl:2'>" + badRequest + "</success>")
		bad.Bind(&mux.BindOptions{Resource: "other"})
		wrong := auth("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='9'/>")
		wrong.Expect("<success xmlns='urn:xmpp:sasl:2'>" + known("0") + "</success>")
		c := auth("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='1'/>")
		c.Expect("<success xmlns='urn:xmpp:sasl:2'>"+resumedWith(token, "0")+"</success>", late("2"), ask)
	})
}

// Enabling inside Bind 2 (XEP-0198 §9.1): counters are zero at the answer.
func TestInlineEnable(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} { // before the crash
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			enable, err := mux.Parse([]byte("<x><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:sm:3'/></x>"))
			if err != nil {
				t.Fatal(err)
			}
			c := s.Dial(t, "juliet@example.net")
			o := &mux.BindOptions{Resource: "balcony", Inline: enable.Children()}
			c.Bind(o)
			if len(o.InlineReply) != 2 {
				t.Fatalf("%d replies", len(o.InlineReply))
			}
			if again, err := mux.NewChild(o.InlineReply[1]); err != nil || again.Raw() != unexpected {
				t.Errorf("to the second: %s, %v", again.Raw(), err)
			}
			reply, err := mux.NewChild(o.InlineReply[0])
			if err != nil || reply.Name.Local != "enabled" || reply.Attr("resume") != "true" || reply.Attr("max") != "600" {
				t.Fatalf("got %s, %v", reply.Raw(), err)
			}
			c.Send("<enable xmlns='urn:xmpp:sm:3'/>") // once more, as some clients do
			c.Expect(unexpected)
			romeo.Send(chat("1"))
			c.Expect(got("1"), ask)
			c.Send("<message to='" + romeoFull + "'/>")
			s.Settle()
			c.Send(ask)
			c.Expect(ack("1"))
			if cut {
				c.Drop()
			}
			s.open(t) // it was saved with the binding
			again := resume(t, s.Host, reply.Attr("id"), "0")
			again.Expect(resumedWith(reply.Attr("id"), "1"), late("1"), ask)
			romeo.Clear()
		})
	}
}

// A connection without a loss of timers or sessions: nothing is left of many
// sessions that came and went (INV-6). Goroutines that are left would end the
// bubble with a panic.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{Window: time.Minute})
		romeo := s.Connect(t, romeoFull)
		for range 50 {
			c, token := enabled(t, s.Host)
			romeo.Send(chats(1, 3)...)
			c.Clear()
			c.Send(ack("2"))
			c.Drop()
			c = resume(t, s.Host, token, "2")
			c.Clear()
			c.Close()
		}
		romeo.Clear()
		time.Sleep(time.Hour)
		n := s.x.Stats()
		if n.Waiting != 0 || n.Queued != 0 || n.Bytes != 0 || n.Resumed != 50 {
			t.Errorf("left: %+v", n)
		}
		saved, err := s.store.Load(t.Context(), time.Now())
		if err != nil || len(saved) != 10 { // what is told of sessions that have ended
			t.Errorf("%d are kept, %v", len(saved), err)
		}
		for _, one := range saved {
			if one.Last == nil || len(one.Entries) > 0 {
				t.Errorf("kept: %+v", one)
			}
		}
	})
}

// An account that is removed leaves nothing, and its tokens are worth nothing.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Drop()
		if err := s.Mux().RemoveAccount(t.Context(), mux.MustParseAddress("juliet@example.net")); err != nil {
			t.Fatal(err)
		}
		c := resume(t, s.Host, token, "0")
		c.Expect(unknown)
		if saved, err := s.store.Load(t.Context(), time.Now()); err != nil || len(saved) != 0 {
			t.Errorf("kept: %+v, %v", saved, err)
		}
	})
}

// A late acknowledgement of a connection that the session has left does nothing
// (smacks SM-43).
func TestLateAcknowledgement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		p := newPhone(t, s)
		romeo.Send(chats(1, 3)...)
		old := p.c
		p.read()
		p.back(s)
		p.read()
		_ = old.Stream.Receive(context.Background(), must(t, ack("1"))) // it is closed; either answer is right
		romeo.Send(chat("4"))
		p.read()
		p.want(ids(1, 4)...)
	})
}

func must(t *testing.T, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
