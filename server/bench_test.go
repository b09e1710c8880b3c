package server_test

import (
	"testing"
)

// BenchmarkChat is a message from one client to another, over TLS; the clients'
// own work is included.
func BenchmarkChat(b *testing.B) {
	s := open(b, nil)
	romeo, juliet := enter(b, s, "romeo", "a"), enter(b, s, "juliet", "b")
	send, want := message(romeo.jid, juliet.jid, "Art thou not Romeo, and a Montague?")
	raw := []byte(send)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := romeo.conn.Write(raw); err != nil {
			b.Fatal(err)
		}
		if got := juliet.next(); got != want {
			b.Fatalf("got %s", got)
		}
	}
}

// BenchmarkLogin is a whole session over direct TLS: handshake, authentication,
// bind and the end; the client's own work is included.
func BenchmarkLogin(b *testing.B) {
	s := open(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		c := enter(b, s, "romeo", "a")
		c.send(closing)
		c.expect(closing, end)
		if err := c.tcp.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
