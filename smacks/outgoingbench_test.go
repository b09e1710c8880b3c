package smacks_test

import (
	"strconv"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// sendMany sends messages to another server, which acknowledges each tenth.
func sendMany(tb testing.TB) func(n int) {
	tb.Helper()
	out := smacks.NewOutgoing(func(mux.Item, error) { tb.Error("something comes back") }, nil)
	l, err := out.Open(new(sunk), true)
	if err != nil {
		tb.Fatal(err)
	}
	parse := func(raw []byte) *mux.Stanza {
		el, err := mux.Parse(raw)
		if err != nil {
			tb.Fatal(err)
		}
		return el
	}
	it := mux.Item{Stanza: parse([]byte("<message from='a@example.net' to='b@example.org' id='1'><body>Hi</body></message>"))}
	hear := func(el *mux.Stanza) {
		if _, err := l.Receive(el); err != nil {
			tb.Fatal(err)
		}
	}
	hear(parse([]byte(enabledSM)))
	sent := 0
	return func(n int) {
		for range n {
			if err := out.Send(it); err != nil {
				tb.Fatal(err)
			}
			if sent++; sent%10 == 0 {
				hear(mux.Written("<a xmlns='urn:xmpp:sm:3' h='" + strconv.Itoa(sent) + "'/>"))
			}
		}
	}
}

func BenchmarkOutgoing(b *testing.B) {
	send := sendMany(b)
	b.ReportAllocs()
	b.ResetTimer()
	send(b.N)
}

// To keep what is sent costs no memory of its own, the answers of the peer aside.
func TestOutgoingAllocations(t *testing.T) {
	send := sendMany(t)
	send(1000)
	if n := testing.AllocsPerRun(100, func() { send(10) }); n > 6 && !raceEnabled {
		t.Errorf("%.1f allocations for ten messages", n)
	}
}
