package netio

import "sync/atomic"

// Budget bounds what the connections that share it keep for peers that do not
// read. It counts memory: the whole buffers that pending bytes occupy.
//
// Each connection may keep as much as half of what is still free, so a few
// slow peers get much and many get little, and no number of peers that never
// read takes more than the limit. A connection that has nothing pending is not
// affected: its writes go to the kernel first and need the budget only for
// what the kernel does not take.
//
// All methods may be called concurrently.
type Budget struct {
	limit, floor int64
	total        atomic.Int64
}

// NewBudget returns a Budget of limit bytes for all connections together. A
// connection may always keep floor bytes as long as the limit is not reached;
// below 32 KiB one full TLS record may not fit. Negative values count as 0.
func NewBudget(limit, floor int64) *Budget {
	return &Budget{limit: max(limit, 0), floor: max(floor, 0)}
}

// Total returns the bytes of memory now used for pending bytes.
func (b *Budget) Total() int64 { return b.total.Load() }

// take asks for n bytes more on behalf of a connection that has held bytes. A
// nil Budget grants everything.
func (b *Budget) take(n, held int) bool {
	if b == nil || n == 0 {
		return true
	}
	for {
		total := b.total.Load()
		free := b.limit - total
		if int64(n) > free || int64(held)+int64(n) > max(b.floor, free/2) {
			return false
		}
		if b.total.CompareAndSwap(total, total+int64(n)) {
			return true
		}
	}
}

// give returns n bytes.
func (b *Budget) give(n int) {
	if b != nil && n != 0 {
		b.total.Add(int64(-n))
	}
}
