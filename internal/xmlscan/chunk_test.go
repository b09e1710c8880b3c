package xmlscan

import (
	"fmt"
	"testing"
)

// record is everything that one item of a stream shows.
func record(s *Scanner, kind Kind, b []byte) string {
	return fmt.Sprint(kind, " ", string(b), " ", s.Name(), s.Attrs(), s.Decls(), s.Children(), s.StartTag(), s.Content(),
		s.HasText(), s.Flags(), string(s.Side()))
}

// feed gives in to s in chunks of the given sizes, used in turn, or as a whole
// if there are none, and returns a record of each item, white space joined, and
// the error at the end.
func feed(s *Scanner, in []byte, sizes []byte) (got []string, last string) {
	start, end := 0, 0
	space := ""
	for i := 0; end < len(in); i++ {
		step := len(in)
		if len(sizes) > 0 {
			step = int(sizes[i%len(sizes)])%16 + 1
		}
		end = min(end+step, len(in))
		for start < end {
			// A copy of the exact size shows reads beyond the end and into old buffers.
			b := append([]byte(nil), in[start:end]...)
			kind, n, err := s.Next(b)
			if err != nil {
				return append(got, space), fmt.Sprintf("%v, %d consumed", err, start)
			}
			if kind == None {
				break
			}
			if kind == Space {
				space += string(b[:n])
			} else {
				got = append(got, space, record(s, kind, b[:n]))
				space = ""
			}
			start += n
		}
	}
	return append(got, space), fmt.Sprintf("%d consumed", start)
}

// FuzzChunks: arbitrary chunks give the same result as one (core-im XS-18).
func FuzzChunks(f *testing.F) {
	for _, in := range accepted {
		f.Add([]byte(clientHeader+in+" "+in+"</stream:stream>"), []byte{0})
		f.Add([]byte(in+in), []byte{1, 2, 5})
	}
	for _, tc := range refusals {
		f.Add([]byte(tc.in), []byte{0, 3})
	}
	f.Fuzz(func(t *testing.T, in, sizes []byte) {
		for _, head := range []string{"", "in"} {
			for _, l := range []Limits{{}, testLimits} {
				wantItems, want := feed(newTestScanner(t, head, l), in, nil)
				gotItems, got := feed(newTestScanner(t, head, l), in, sizes)
				if got != want || fmt.Sprint(gotItems) != fmt.Sprint(wantItems) {
					t.Fatalf("%q in %q by %v:\ngot  %s %q\nwant %s %q", in, head, sizes, got, gotItems, want, wantItems)
				}
			}
		}
	})
}

// TestLinear feeds one byte at a time and watches the position: nothing may
// start over, nothing but an unfinished character may be left for later.
func TestLinear(t *testing.T) {
	t.Parallel()
	for _, in := range accepted {
		s := newTestScanner(t, "in", Limits{})
		last := 0
		for end := 1; end < len(in); end++ {
			if kind, _, err := s.Next([]byte(in)[:end]); kind != None || err != nil {
				t.Fatalf("%q: got %v, %v at %d", in, kind, err, end)
			}
			if s.pos < last || s.pos < end-4 {
				t.Fatalf("%q: at %d of %d bytes after %d", in, s.pos, end, last)
			}
			last = s.pos
		}
		// XS-1: the element is there with its own last byte.
		if kind, n, err := s.Next([]byte(in)); kind != Element || n != len(in) || err != nil {
			t.Fatalf("%q: got %v, %d, %v", in, kind, n, err)
		}
	}
}
