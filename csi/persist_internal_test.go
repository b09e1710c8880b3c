package csi

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// TestDecode: what was not written by encode is refused, and what was comes back.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\x00", "\x02\x00", "\x01", "\x01\xff", "\x01\x01", "\x01\x01\x05abc", "\x01\x00x", "\x01\x02\x01a", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if err := decode([]byte(bad), new(state)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	active, away := new(state), new(state)
	if err := decode(nil, active); err != nil || active.held != nil || active.is(inactive) {
		t.Errorf("active: %v", err)
	}
	k, _ := aside(true)
	for _, text := range []string{presenceText, stateText} {
		it := itemOf(t, text)
		if err := k.Put(&it); err != nil {
			t.Fatal(err)
		}
	}
	saved := encode([]byte("x"), (*state)(k))
	if err := decode(saved[1:], away); err != nil || len(away.held.raw) != 2 || !away.is(inactive) || !away.held.saved {
		t.Errorf("inactive: %v, %+v", err, away.held)
	}
	if again := encode(nil, active); len(again) > 0 || !bytes.HasPrefix(saved, []byte("x\x01\x02")) {
		t.Errorf("saved %q and %q", saved, again)
	}
}

// TestArrivalTime: CSI-20: what the server made itself, and what has no time yet, is
// from when it was held.
func TestArrivalTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, _ := aside(true)
		it := itemOf(t, presenceText)
		it.Origin = new(mux.Stream)
		time.Sleep(time.Minute)
		if err := k.Put(&it); err != nil {
			t.Fatal(err)
		}
		if e := k.held.queue.entries[0]; !e.item.At.Equal(time.Now()) || !it.At.IsZero() {
			t.Errorf("from %s, and the item from %s", e.item.At, it.At)
		} else if e.item.Origin != nil || it.Origin == nil {
			t.Error("a stream that may end is kept")
		}
	})
}

// TestSenderOf: CSI-15: whom order is kept for.
func TestSenderOf(t *testing.T) {
	t.Parallel()
	direct, own := itemOf(t, stateText), itemOf(t, "<message to='romeo@example.net/phone'/>")
	wrapped := itemOf(t, "<message from='romeo@example.net' to='romeo@example.net/phone'/>")
	wrapped.Inner, wrapped.Flags = direct.Stanza, mux.Copy
	forged := wrapped
	forged.Flags = 0
	for want, all := range map[string][]mux.Item{"juliet@example.org": {direct, wrapped}, "romeo@example.net": {own, forged}} {
		for i := range all {
			if got := senderOf(&all[i]).String(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}
