package presence

import (
	"bytes"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

func FuzzDecodeState(f *testing.F) {
	st := &state{available: true, directed: []directed{{mux.MustParseAddress("room@rooms.example.org/J"), true}, {mux.MustParseAddress("example.org"), false}}}
	f.Add(encodeState(nil, st))
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b state
		if decodeState(src, &a) != nil {
			return
		}
		out := encodeState(nil, &a)
		if err := decodeState(out, &b); err != nil || !bytes.Equal(out, encodeState(nil, &b)) {
			t.Fatalf("%x became %x: %v", src, out, err)
		}
	})
}
