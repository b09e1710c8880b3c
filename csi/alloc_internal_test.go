package csi

import (
	"testing"
	"unsafe"

	"github.com/propolis-im/propolis/mux"
)

// nowhere takes everything.
type nowhere struct{ n int }

func (k *nowhere) Put(*mux.Item) error {
	k.n++
	return nil
}

// aside is the sink of a session whose client is active or not, without a mux.
func aside(away bool) (*outbound, *nowhere) {
	end := new(nowhere)
	st := &state{x: New(nil), next: end}
	if away {
		st.deactivate()
	}
	return (*outbound)(st), end
}

func itemOf(t testing.TB, text string) mux.Item {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return mux.Item{Stanza: s}
}

const (
	presenceText = "<presence from='juliet@example.org/balcony' to='romeo@example.net/phone'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>"
	stateText    = "<message from='juliet@example.org/balcony' to='romeo@example.net/phone' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
)

// TestActiveCost: a session with an active client costs a few dozen octets and nothing
// for each stanza.
func TestActiveCost(t *testing.T) {
	if size := unsafe.Sizeof(state{}); size > 80 {
		t.Errorf("%d octets for each session", size)
	}
	k, end := aside(false)
	it := itemOf(t, presenceText)
	n := testing.AllocsPerRun(100, func() {
		if err := k.Put(&it); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 || end.n != 101 || k.held != nil {
		t.Errorf("%v allocations, %d passed on", n, end.n)
	}
	k.in = inbound{(*state)(k), end}
	if n := testing.AllocsPerRun(100, func() {
		if err := k.in.Put(&it); err != nil {
			t.Fatal(err)
		}
	}); n != 0 || end.n != 202 {
		t.Errorf("%v allocations on the way in", n)
	}
}

// TestInactiveCost: the change from one presence of a contact to the next, or of a chat
// state, costs nothing either once something is held; and nothing is left over when the
// client is active again.
func TestInactiveCost(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, text := range []string{presenceText, stateText} {
		k, end := aside(true)
		if k.held.queue.entries != nil || k.held.queue.index != nil {
			t.Error("memory although nothing is held")
		}
		it := itemOf(t, text)
		n := testing.AllocsPerRun(1000, func() {
			if err := k.Put(&it); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 || end.n != 0 || k.held.queue.n != 1 {
			t.Errorf("%v allocations, %d held: %s", n, k.held.queue.n, text)
		}
		if err := (*state)(k).activate(); err != nil || end.n != 1 || k.held != nil {
			t.Errorf("%v; %d sent", err, end.n)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for name, away := range map[string]bool{"active": false, "inactive": true} {
		b.Run(name, func(b *testing.B) {
			k, _ := aside(away)
			it := itemOf(b, presenceText)
			b.ReportAllocs()
			for b.Loop() {
				if err := k.Put(&it); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
