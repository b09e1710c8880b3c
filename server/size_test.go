package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/server"
)

// TestTooBig: a stanza that is too large is refused without its payload, and the stream
// goes on; one that is just right arrives, although the server has made it larger
// (core-im LIM-2, LIM-32).
func TestTooBig(t *testing.T) {
	t.Parallel()
	const limit = 20 << 10
	s := open(t, limited(func(l *server.Limits) { l.StanzaBytes = limit }))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	for _, tt := range []struct{ head, tail, from string }{
		{"<message id='1' type='chat' to='" + juliet.jid + "'><body>", "</body></message>", juliet.jid},
		{"<iq id='1' type='get' to='example.net'><x xmlns='urn:example:unknown'>", "</x></iq>", "example.net"},
		{"<iq id='1' type='set'><x xmlns='urn:example:unknown'>", "</x></iq>", "romeo@example.net"},
	} {
		for _, size := range []int{limit + 1, 2 * limit} {
			romeo.send(tt.head + strings.Repeat("x", size-len(tt.head+tt.tail)) + tt.tail)
			kind, _, _ := strings.Cut(tt.head[1:], " ")
			want := fmt.Sprintf("<%s from='%s' to='%s' type='error' id='1'><error type='modify'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>%s</error></%s>",
				kind, tt.from, romeo.jid, tooBig, kind)
			romeo.expect(want)
		}
	}
	// There is nobody to answer these to.
	for _, head := range []string{"<message type='error' to='" + juliet.jid + "'><body>", "<message type='error'><body>"} {
		romeo.send(head + strings.Repeat("x", limit) + "</body></message>")
	}
	romeo.alive()
	body := strings.Repeat("x", limit-len("<message type='chat' to='"+juliet.jid+"'><body></body></message>"))
	if send, want := message(romeo.jid, juliet.jid, body); len(send) != limit || len(want) <= limit {
		t.Fatalf("%d octets become %d", len(send), len(want))
	}
	romeo.says(juliet, body)
	juliet.alive()
}
