package archive_test

import (
	"testing"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestAllocations: what is not archived costs nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	count := func(exts ...mux.Extension) float64 {
		h := muxtest.New(t, nil, exts...)
		st, _ := bind(t, h, romeoFull), bind(t, h, julietFull)
		raw := []byte("<message to='" + julietFull + "' type='chat' id='1'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
		return testing.AllocsPerRun(1000, func() {
			s, err := mux.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Receive(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			st.Flush()
		})
	}
	store := new(archive.Memory)
	if none, with := count(), count(archive.New(store, &archive.Options{Prefs: store})); with > none {
		t.Errorf("%v allocations with an archive, %v without", with, none)
	}
}
