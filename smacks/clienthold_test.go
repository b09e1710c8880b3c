package smacks_test

import (
	"encoding/xml"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/smacks"
)

// holder is a user whose handler holds what has an id in capitals.
type holder struct {
	*user
	held map[string]func()
}

func (h *holder) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	for _, a := range start.Attr {
		if a.Name.Local == "id" && a.Value < "a" {
			handled := h.Hold()
			h.Hold() // once more is no second time
			h.mu.Lock()
			h.held[a.Value] = handled
			h.mu.Unlock()
		}
	}
	return h.user.HandleXMPP(t, start)
}

// handled has the application say so.
func (h *holder) handled(ids ...string) {
	for _, id := range ids {
		h.mu.Lock()
		f := h.held[id]
		h.mu.Unlock()
		f()
		f()
	}
	synctest.Wait()
}

func newHolder(t *testing.T) (*holder, *script) {
	h := &holder{newUser(t, smacks.ClientOptions{}), make(map[string]func())}
	h.handler = h
	return h, h.begins("tok")
}

const askedFor = "<r xmlns='urn:xmpp:sm:3'/>"

func told(h string) string { return "<a xmlns='urn:xmpp:sm:3' h='" + h + "'/>" }

// A stanza counts when the application says so, in whatever order (API-7).
func TestClientHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := newHolder(t)
		s.say("<message id='A'/><message id='b'/><message id='C'/><message id='d'/>" + askedFor)
		s.want(told("0"))
		if n := h.State().In; n != 0 {
			t.Errorf("%d are handled", n)
		}
		h.handled("C")
		s.say(askedFor)
		s.want(told("0"))
		h.handled("A") // and with it those behind
		s.want(told("4"))
		h.handled("A", "C")
		s.say("<message id='e'/>" + askedFor)
		s.want(told("5"))
		h.check("seen", &h.seen, "early", "A", "b", "C", "d", "e")
		h.Hold()() // in no handler
		s.say(askedFor)
		s.want(told("5"))
	})
}

// What is held when the connection is lost is not seen twice, and counts when it is
// handled, on whatever connection.
func TestClientHoldOverResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := newHolder(t)
		s.say("<message id='a'/><message id='B'/><message id='c'/><message id='D'/>")
		_ = s.c.Close()
		s = h.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='1'/>")
		h.handled("B") // while the server is about to send it again
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='B'/><message id='c'/>")
		_ = s.c.Close() // in the middle
		s = h.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='3'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='D'/><message id='e'/>" + askedFor)
		s.want(told("3"))
		h.handled("D")
		s.want(told("5"))
		h.check("seen", &h.seen, "early", "a", "B", "c", "D", "e")
	})
}

// In another process what was held comes again; in the old one it is nobody's affair.
func TestClientHoldOverProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, s := newHolder(t)
		s.say("<message id='a'/><message id='B'/><message id='c'/>")
		state := h.Detach()
		if state == nil || state.In != 1 {
			t.Fatalf("state is %+v", state)
		}
		h.handled("B")
		if state.In != 1 {
			t.Errorf("%d are handled", state.In)
		}
		again := newUser(t, smacks.ClientOptions{State: state})
		again.connects()
		s = again.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='1'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='B'/><message id='c'/>" + askedFor)
		s.want(told("3"))
		again.check("seen", &again.seen, "B", "c")
	})
}
