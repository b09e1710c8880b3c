package netio

import "sync"

// readSize is the capacity of a pooled buffer for what arrives, in bytes: a
// TLS record of 16 KiB with its overhead (RFC 8446 §5.2: up to 256 bytes) and
// header, rounded up to what the allocator would use anyway.
const readSize = 18 << 10

type readMem [readSize]byte

var readMems = sync.Pool{New: func() any { return new(readMem) }}

// buffer holds bytes that arrived and have not been read. It has memory only
// while it holds any, or while it is being filled.
type buffer struct {
	mem      *readMem
	pos, end int
}

// take gets memory for an empty buffer and returns all of it.
func (b *buffer) take() []byte {
	b.mem = readMems.Get().(*readMem)
	return b.mem[:]
}

// filled notes that the first n bytes of the memory hold what arrived.
func (b *buffer) filled(n int) {
	if n <= 0 {
		b.release()
		return
	}
	b.pos, b.end = 0, n
}

// bytes returns what is held.
func (b *buffer) bytes() []byte {
	if b.mem == nil {
		return nil
	}
	return b.mem[b.pos:b.end]
}

// skip drops the first n bytes, and the memory with the last one.
func (b *buffer) skip(n int) {
	b.pos += n
	if b.pos == b.end {
		b.release()
	}
}

// release drops everything.
func (b *buffer) release() {
	if b.mem != nil {
		readMems.Put(b.mem)
	}
	*b = buffer{}
}
