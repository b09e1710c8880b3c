package netio

import "sync"

// Sizes of the pieces of a queue in bytes, header included. A little pending
// data gets a small piece; more gets large ones, and a small one for what is
// left, so that memory stays close to what is pending without ever copying
// bytes again.
const (
	smallChunk  = 4 << 10
	largeChunk  = 16 << 10
	chunkHeader = 56 // size of chunk where pointers have 64 bits
)

// chunk is the header of a piece; the memory that data points to follows it in
// the same allocation.
type chunk struct {
	next *chunk
	data []byte
	r, w int // data[r:w] is pending
	home *sync.Pool
}

var smallChunks = sync.Pool{New: func() any {
	c := new(struct {
		chunk
		mem [smallChunk - chunkHeader]byte
	})
	c.data = c.mem[:]
	return &c.chunk
}}

var largeChunks = sync.Pool{New: func() any {
	c := new(struct {
		chunk
		mem [largeChunk - chunkHeader]byte
	})
	c.data = c.mem[:]
	return &c.chunk
}}

// newChunk returns the chunk to keep the first of n bytes in, and its size.
func newChunk(n int) (*chunk, int) {
	home, size := &largeChunks, largeChunk
	if n <= smallChunk-chunkHeader {
		home, size = &smallChunks, smallChunk
	}
	c := home.Get().(*chunk)
	c.home = home
	return c, size
}

// size returns the memory of the chunk in bytes.
func (c *chunk) size() int { return len(c.data) + chunkHeader }

// free gives the chunk back to its pool.
func (c *chunk) free() {
	home := c.home
	c.next, c.home, c.r, c.w = nil, nil, 0, 0
	home.Put(c)
}

// queue keeps bytes in order. It has no lock, but the bytes that front
// returned may be read while append is called.
type queue struct {
	head, tail *chunk
	bytes      int // pending
	memory     int // of all chunks
}

// cost returns how much memory grows if n bytes are appended.
func (q *queue) cost(n int) int {
	if q.tail != nil {
		n -= len(q.tail.data) - q.tail.w
	}
	if n <= 0 {
		return 0
	}
	const large = largeChunk - chunkHeader
	cost := n / large * largeChunk
	switch rest := n % large; {
	case rest == 0:
	case rest <= smallChunk-chunkHeader:
		cost += smallChunk
	default:
		cost += largeChunk
	}
	return cost
}

// append copies p to the end of the queue.
func (q *queue) append(p []byte) {
	q.bytes += len(p)
	for len(p) > 0 {
		if q.tail == nil || q.tail.w == len(q.tail.data) {
			q.extend(len(p))
		}
		n := copy(q.tail.data[q.tail.w:], p)
		q.tail.w += n
		p = p[n:]
	}
}

// extend adds a chunk for the first of n bytes.
func (q *queue) extend(n int) {
	c, size := newChunk(n)
	q.memory += size
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
}

// front returns the oldest bytes, as many as lie together.
func (q *queue) front() []byte {
	if q.head == nil {
		return nil
	}
	return q.head.data[q.head.r:q.head.w]
}

// advance drops n bytes, no more than front returned, and returns by how much
// memory shrank.
func (q *queue) advance(n int) (freed int) {
	if n == 0 {
		return 0
	}
	q.bytes -= n
	c := q.head
	c.r += n
	if c.r < c.w {
		return 0
	}
	return q.drop() // full, or the last one: an empty queue has no memory
}

// drop frees the first chunk.
func (q *queue) drop() (freed int) {
	c := q.head
	q.head = c.next
	if q.head == nil {
		q.tail = nil
	}
	freed = c.size()
	q.memory -= freed
	c.free()
	return freed
}

// clear empties the queue and returns how much memory it had.
func (q *queue) clear() (freed int) {
	for q.head != nil {
		freed += q.drop()
	}
	q.bytes = 0
	return freed
}
