package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// panics has handlers that panic when a message says so.
func panics(r *mux.Registry) {
	at := func(word string) mux.Handler {
		return func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
			if strings.Contains(string(e.Stanza.Append(nil, "")), word) {
				panic(word)
			}
			return mux.Pass, nil
		}
	}
	r.Guard(mux.FromPeer, mux.Message, at("bang"))
	r.Guard(mux.ToAccount, mux.Message, at("boom"))
}

// TestPanic: a handler that panics costs its sender the stanza, and the stream if
// it was handling that stream's own; nobody else notices.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := open(t, nil, toy(panics))
	romeo, juliet, mercutio := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b"), enter(t, s, "mercutio", "c")
	bounced := "<message from='" + juliet.jid + "' to='" + romeo.jid + "' type='error'><error type='wait'>" +
		"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
	for range 3 {
		send, _ := message("", juliet.jid, "boom")
		romeo.send(send)
		romeo.expect(bounced)
		romeo.says(juliet, "still here")
	}
	send, _ := message("", juliet.jid, "bang")
	romeo.send(send)
	romeo.expect(bounced)
	romeo.streamError("internal-server-error")
	mercutio.says(juliet, "what was that?")
	juliet.says(mercutio, "what?")
	romeo = enter(t, s, "romeo", "a")
	juliet.says(romeo, "welcome back")
}
