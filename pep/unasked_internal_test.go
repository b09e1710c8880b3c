package pep

import (
	"maps"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestAskedSaved: what was asked in a session is saved with it.
func TestAskedSaved(t *testing.T) {
	t.Parallel()
	var was, is asked
	if b := askedCodec.Encode(nil, &was); len(b) != 0 {
		t.Errorf("nothing is saved as %x", b)
	}
	who := mux.MustParseAddress("romeo@example.net")
	was.note(questionOf("n", who), true)
	was.note(questionOf("m", who), true)
	was.note(questionOf("n", who.Bare()), false)
	was.note(questionOf("o", who), true)
	b := askedCodec.Encode(nil, &was)
	if err := askedCodec.Decode(b, &is); err != nil || len(is.of) != 2 || !maps.Equal(was.of, is.of) {
		t.Errorf("%v, error %v; was %v", is.of, err, was.of)
	}
	if askedCodec.Decode(b[1:], new(asked)) == nil {
		t.Error("cut off")
	}
}
