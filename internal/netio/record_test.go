package netio

import (
	"slices"
	"testing"
)

// ends returns the offsets at which records end that were taken completely, if
// the stream arrives in pieces of the given sizes (the last one repeated).
func ends(t testing.TB, stream []byte, sizes ...int) []int {
	t.Helper()
	var r records
	var found []int
	for at := 0; at < len(stream); {
		size := sizes[0]
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
		piece := stream[at:min(at+max(size, 1), len(stream))]
		for len(piece) > 0 {
			n := r.take(piece)
			if n <= 0 || n > len(piece) {
				t.Fatalf("take of %d bytes = %d", len(piece), n)
			}
			at += n
			piece = piece[n:]
			if !r.inside() {
				found = append(found, at)
			}
		}
	}
	return found
}

// record returns a TLS record with a body of n bytes.
func record(n int) []byte {
	return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, pattern(n)...)
}

func TestRecordsTake(t *testing.T) {
	t.Parallel()
	three := slices.Concat(record(3), record(0), record(300))
	tests := []struct {
		name   string
		stream []byte
		sizes  []int
		want   []int
	}{
		{"all at once", three, []int{len(three)}, []int{8, 13, 318}},
		{"byte by byte", three, []int{1}, []int{8, 13, 318}},
		{"header cut", three, []int{2, 4, 7, 300}, []int{8, 13, 318}},
		{"body cut", three, []int{7, 9, 100}, []int{8, 13, 318}},
		{"half a header", record(9)[:4], []int{4}, nil},
		{"half a body", record(9)[:13], []int{20}, nil},
		{"longest", record(65535), []int{18432}, []int{65540}},
		{"nothing", nil, []int{1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := ends(t, tt.stream, tt.sizes...); !slices.Equal(got, tt.want) {
				t.Errorf("ends = %v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzRecords: where records end does not depend on how the bytes arrive.
func FuzzRecords(f *testing.F) {
	f.Add(slices.Concat(record(3), record(0), record(300)), byte(1), byte(7))
	f.Add([]byte("<stream:stream xmlns='jabber:client'>"), byte(5), byte(2))
	f.Fuzz(func(t *testing.T, stream []byte, a, b byte) {
		want := ends(t, stream, len(stream))
		if got := ends(t, stream, int(a), int(b)); !slices.Equal(got, want) {
			t.Errorf("ends = %v in pieces, %v at once", got, want)
		}
	})
}
