package smacks_test

import (
	"context"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// refuser refuses all messages of its clients.
type refuser struct{}

func (refuser) Name() string { return "refuser" }

func (refuser) Register(r *mux.Registry) error {
	r.Guard(mux.FromPeer, mux.Message, func(context.Context, *mux.Event) (mux.Verdict, error) {
		return mux.Pass, stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	})
	return nil
}

// What is refused is noted as handled if Stream Management comes first: after a crash
// the client does not send it again.
func TestRefusedIsNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{}, refuser{})
		juliet, token := enabled(t, s.Host)
		juliet.Send("<message to='romeo@example.net' id='1'/>")
		s.Settle()
		s.open(t)
		resume(t, s.Host, token, "1").Expect("<resumed xmlns='urn:xmpp:sm:3' previd='"+token+"' h='1'/>", "<r xmlns='urn:xmpp:sm:3'/>")
	})
}

// Resumptions are counted by what became of them (smacks API-15).
func TestRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chat("1"))
		s.Settle()
		juliet.Drop()
		want := smacks.Refusals{}
		check := func(what string) {
			t.Helper()
			s.Settle()
			if got := s.x.Stats().Refused; got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		resume(t, s.Host, token, "-1").Drop()
		want.Malformed++
		check("no counter")
		resume(t, s.Host, "bogus", "0").Drop()
		want.Unknown++
		check("no token")
		resume(t, s.Host, token, "7").Drop()
		want.WrongCounter++
		check("counter too high")
		for range 5 {
			resume(t, s.Host, token, "0").Drop()
			s.Settle()
		}
		resume(t, s.Host, token, "0").Drop()
		want.Stalled++
		check("no progress")
		resume(t, s.Host, token, "0").Drop()
		want.Unknown++
		check("the session has ended")
		if n := s.x.Stats(); n.Resumed != 5 || n.Managed != 0 || n.Refused.All() != 5 {
			t.Errorf("in the end: %+v", n)
		}
	})
}
