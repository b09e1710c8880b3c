package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestRecipients: LIM-13.
func TestRecipients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, &recipientLimit{max: 3})
		romeo, juliet := h.Connect(t, "romeo@example.net/a"), h.Connect(t, "juliet@example.net/b")
		refused := func(id, kind string) {
			t.Helper()
			romeo.Expect("<" + kind + " type='error' id='" + id + "' from='d@example.org' to='romeo@example.net/a'><error type='wait'>" +
				"<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><too-many-stanzas xmlns='urn:xmpp:errors'/></error></" + kind + ">")
		}
		romeo.Send("<message to='a@example.org/1'/>", "<presence to='b@example.org/1'/>", "<iq type='get' id='1' to='c@example.org'><x xmlns='urn:x'/></iq>")
		time.Sleep(time.Minute - time.Second)
		// These are known, or do not count.
		romeo.Send("<message to='c@example.org/2'/>", "<iq type='set' id='2' to='a@example.org'><x xmlns='urn:x'/></iq>", "<message to='d@example.org' type='error'/>",
			"<iq type='result' id='3' to='d@example.org'/>", "<presence/>", "<presence type='unavailable'/>", "<message to='romeo@example.net'/>",
			"<message to='example.net' type='error'/>")
		if n := len(h.Routed("example.org")); n != 7 {
			t.Errorf("%d routed", n)
		}
		romeo.Clear()
		romeo.Send("<message to='d@example.org' id='4'/>")
		refused("4", "message")
		romeo.Send("<presence type='subscribe' to='d@example.org' id='5'/>")
		refused("5", "presence")
		romeo.Send("<iq type='get' to='d@example.org' id='6'><x xmlns='urn:x'/></iq>")
		refused("6", "iq")
		juliet.Send("<message to='d@example.org'/>") // each session has its own
		time.Sleep(time.Second)
		romeo.Send("<message to='d@example.org'/>")
		if n := len(h.Routed("example.org")); n != 2 {
			t.Errorf("%d routed", n)
		}
		romeo.ExpectNone()
	})
}

// TestRecipientsBounded: what is remembered of a session does not grow.
func TestRecipientsBounded(t *testing.T) {
	t.Parallel()
	var r recipients
	now := time.Now()
	for i := range 1000 {
		if got := r.fits(uint64(i), 200, now); got != (i < 200) {
			t.Fatalf("number %d: %t", i, got)
		}
	}
	if len(r.seen) != 200 {
		t.Errorf("%d kept", len(r.seen))
	}
	if !r.fits(5, 200, now.Add(time.Minute)) || len(r.seen) != 1 {
		t.Errorf("a minute later %d kept", len(r.seen))
	}
}

// TestRecipientsOff: without a limit nobody is asked.
func TestRecipientsOff(t *testing.T) {
	t.Parallel()
	if got := (*Limits)(nil).withDefaults().RecipientsPerMinute; got != 200 {
		t.Errorf("default %d", got)
	}
	for _, l := range []*Limits{NoLimits(), nil} {
		var b strings.Builder
		m, err := mux.New(nil, nil, &recipientLimit{max: l.withDefaults().RecipientsPerMinute})
		if err != nil {
			t.Fatal(err)
		}
		m.Describe(&b)
		if got := strings.Contains(b.String(), "server limits"); got != (l == nil) {
			t.Errorf("limits %v:\n%s", l, &b)
		}
	}
}
