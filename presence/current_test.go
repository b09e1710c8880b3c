package presence_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

// TestCurrent: what others are told of a session's last presence, by whatever occasion, may
// say more than it did; and it is told again to all who see it.
func TestCurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		contacts := roster.New(filled(t), nil)
		version := "1"
		x := presence.New(contacts, &presence.Options{Current: func(e *mux.Event, s *mux.Session, p *mux.Stanza) *mux.Stanza {
			if e.Account != s.Account() || p != s.Presence().Stanza {
				t.Error("another session's presence")
			}
			return p.WithID(version)
		}})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, contacts, x)
		h.AddAccount("nurse@example.net")
		juliet := h.Connect(t, julietFull)
		resend := func() {
			t.Helper()
			err := h.Mux().Do(t.Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) {
				for _, s := range e.Sessions() {
					x.Resend(ctx, e, s)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			h.Settle()
		}
		resend() // not available: nothing
		juliet.ExpectNone()
		juliet.Send("<presence id='0'/>")
		juliet.Expect("<presence from='" + julietFull + "' to='" + julietFull + "' id='0'/>")
		h.Routed("example.org")
		h.Routed("example.com")
		nurse := h.Connect(t, "nurse@example.net/1")
		nurse.Send("<presence/>")
		if got := strings.Join(nurse.Arrived(), ""); strings.Count(got, "from='"+julietFull+"'") != 1 || !strings.Contains(got, "id='1'") {
			t.Errorf("the nurse got %s", got)
		}
		nurse.Clear()
		juliet.Clear()
		version = "2"
		resend()
		juliet.Expect("<presence from='" + julietFull + "' to='" + julietFull + "' id='2'/>")
		nurse.Expect("<presence from='" + julietFull + "' to='nurse@example.net' id='2'/>")
		if got := strings.Join(h.Routed("example.org"), ""); strings.Count(got, "id='2'") != 2 || strings.Contains(got, "probe") {
			t.Errorf("example.org got %s", got)
		}
		version = "3"
		other := h.Connect(t, "juliet@example.net/other")
		other.Send("<presence/>")
		if got := strings.Join(other.Arrived(), ""); !strings.Contains(got, "id='3'") {
			t.Errorf("the other session got %s", got)
		}
		far := h.DialDomain(t, mux.Server, "example.org")
		h.Routed("example.org")
		far.Send("<presence type='probe' from='from@example.org' to='" + julietFull + "'/>")
		h.ExpectRouted("example.org", "<presence from='"+julietFull+"' to='from@example.org' id='3'/>")
		juliet.Send("<presence type='unavailable'/>")
		nurse.Clear()
		juliet.Clear()
		version = "4"
		resend()
		juliet.ExpectNone()
		for _, el := range nurse.Arrived() {
			if strings.Contains(el, julietFull) {
				t.Errorf("the nurse got %s", el)
			}
		}
	})
}
