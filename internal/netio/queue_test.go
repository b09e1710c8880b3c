package netio

import (
	"bytes"
	"testing"
	"unsafe"
)

// TestChunkSize: what is accounted is what the allocator gives.
func TestChunkSize(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(chunk{}); n > chunkHeader {
		t.Errorf("a chunk's header has %d bytes, accounted as %d", n, chunkHeader)
	}
	for want, n := range map[int]int{smallChunk: 1, largeChunk: smallChunk} {
		c, size := newChunk(n)
		if size != want || c.size() != want {
			t.Errorf("chunk for %d bytes: sizes %d and %d, want %d", n, size, c.size(), want)
		}
		c.free()
	}
}

func TestQueueCost(t *testing.T) {
	t.Parallel()
	const small, large = smallChunk - chunkHeader, largeChunk - chunkHeader
	tests := []struct {
		name    string
		n, want int
	}{
		{"nothing", 0, 0},
		{"one byte", 1, smallChunk},
		{"small chunk full", small, smallChunk},
		{"just too much for it", small + 1, largeChunk},
		{"large chunk full", large, largeChunk},
		{"longest record of TLS 1.3", 16406, largeChunk + smallChunk},
		{"two large", large + small + 1, 2 * largeChunk},
		{"a mebibyte", 1 << 20, 64*largeChunk + smallChunk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var q queue
			if got := q.cost(tt.n); got != tt.want {
				t.Errorf("cost = %d, want %d", got, tt.want)
			}
			q.append(make([]byte, tt.n))
			if q.memory != tt.want {
				t.Errorf("memory = %d, want %d", q.memory, tt.want)
			}
			if freed := q.clear(); freed != tt.want || q != (queue{}) {
				t.Errorf("freed %d, want %d; left %+v", freed, tt.want, q)
			}
		})
	}
}

// runQueue lets a queue and a bytes.Buffer do the same.
func runQueue(t *testing.T, steps []byte) {
	var q queue
	var model bytes.Buffer
	freed, spent := 0, 0
	for i, s := range steps {
		if s&1 == 0 {
			p := pattern(int(s) * 97)
			cost := q.cost(len(p))
			before := q.memory
			q.append(p)
			model.Write(p)
			if q.memory-before != cost {
				t.Fatalf("step %d: cost %d, memory grew by %d", i, cost, q.memory-before)
			}
			spent += cost
		} else {
			p := q.front()
			n := min(len(p), int(s)*61)
			if want := model.Next(n); !bytes.Equal(p[:n], want) {
				t.Fatalf("step %d: front differs", i)
			}
			freed += q.advance(n)
		}
		if q.bytes != model.Len() || (q.bytes == 0) != (q.memory == 0) || q.memory != spent-freed {
			t.Fatalf("step %d: %d bytes, %d memory; want %d and %d", i, q.bytes, q.memory, model.Len(), spent-freed)
		}
	}
	freed += q.clear()
	if freed != spent {
		t.Fatalf("freed %d of %d", freed, spent)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	runQueue(t, []byte{2, 2, 1, 200, 200, 99, 99, 99, 254, 254, 255, 255, 255, 255, 255, 255, 3, 0, 1, 4, 255})
}

// FuzzQueue: bytes keep their order and every byte of memory is accounted for.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{2, 1, 200, 255, 254, 255, 255})
	f.Fuzz(func(t *testing.T, steps []byte) { runQueue(t, steps[:min(len(steps), 500)]) })
}
