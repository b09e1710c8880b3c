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
