package smacks

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// phase is how far Stream Management has come in a session.
type phase uint8

const (
	off      phase = iota
	enabling       // asked for; the answer is on its way
	on
)

// state is what a session has. It is touched under the session's lock, except for
// what is atomic.
type state struct {
	phase   phase
	resume  bool     // may be resumed
	secret  [32]byte // SHA-256 of the secret part of the token
	window  time.Duration
	base    uint32 // stanzas received before it was enabled
	begun   bool   // those are handled
	owes    bool   // an acknowledgement, as soon as it is on
	refuses int    // so many more requests to enable it, then
	tells   bool   // another when what was received up to heard is handled
	heard   uint32

	queue window

	asked   bool // the client owes an acknowledgement
	since   int  // stanzas since it was asked
	timer   *time.Timer
	due     time.Time // when the timer means something; before it was set anew
	live    bool      // has a connection
	dead    bool      // must not wait for its client any more
	stalled int       // times it was resumed without progress
	waits   time.Time

	durable  atomic.Bool   // the store follows
	begins   atomic.Uint32 // of the client's stanzas, the last that was not too late
	noted    atomic.Uint32 // of ours, how many the client has acknowledged
	noteDue  bool          // the store is behind with acknowledgements
	saves    bool          // it will be soon
	unsaved  bool          // some entries have no row, or an old one
	lastRow  uint64
	lastWait uint64 // likewise of those that wait, see waiting
	floating bool   // restored after a crash: what was sent last is not known
}

// entry is a stanza that was sent, or will be when there is a connection.
type entry struct {
	item   mux.Item
	row    uint64 // where the store has it, 0 for nowhere
	number uint32 // while floating: its number, if sent
	sent   bool
	stale  bool // the store has it under an old number
}

// waiting begins the rows of entries that have no number yet.
const waiting = 1 << 40

// placed reports whether the store has the entry in its place.
func (e *entry) placed() bool { return e.row != 0 && e.row < waiting }

// window is what was sent and not acknowledged: stanzas acked+1 to acked+len.
type window struct {
	acked   uint32
	entries []entry
	head    int
	bytes   int
	through uint64 // rows up to this one are done with
}

func (w *window) len() int { return len(w.entries) - w.head }

// out is how many stanzas were sent.
func (w *window) out() uint32 { return w.acked + uint32(w.len()) }

func (w *window) push(e entry) {
	if w.head > 32 && 2*w.head >= len(w.entries) {
		n := copy(w.entries, w.entries[w.head:])
		clear(w.entries[n:])
		w.entries, w.head = w.entries[:n], 0
	}
	if w.entries == nil {
		w.entries = spare.Get().(*[spareEntries]entry)[:0]
	}
	w.entries = append(w.entries, e)
	w.bytes += size(&e.item)
}

// drop takes the first n out, which have arrived.
func (w *window) drop(n int) {
	for range n {
		e := &w.entries[w.head]
		e.item.Record.Arrived()
		w.bytes -= size(&e.item)
		if e.placed() {
			w.through = max(w.through, e.row)
		}
		*e = entry{}
		w.head++
		w.acked++
	}
	if w.head == len(w.entries) {
		w.reset()
	}
}

// spare are slots of windows that have become empty: an idle session has none.
var spare = sync.Pool{New: func() any { return new([spareEntries]entry) }}

const spareEntries = 16

func (w *window) reset() {
	if cap(w.entries) == spareEntries {
		spare.Put((*[spareEntries]entry)(w.entries[:spareEntries])) // all are zero
	}
	w.entries, w.head, w.bytes = nil, 0, 0
}

func (w *window) all() []entry { return w.entries[w.head:] }

// size is about how many octets an item has.
func size(it *mux.Item) int { return it.Stanza.Size() + len(it.Extra) + 32 }

// settle decides, for a session that was restored after a crash, what a client that
// has handled h stanzas has got: all that were sent with a number up to h. What was
// sent beyond without a trace has no number any more; the rest gets new ones.
func (st *state) settle(h uint32) {
	w := &st.queue
	n := 0
	for _, e := range w.all() {
		if e.sent && !after(e.number, h) {
			n++
			continue
		}
		break
	}
	w.drop(n)
	w.acked = h
	st.noted.Store(h)
	for i := range w.all() {
		e := &w.all()[i]
		e.stale = e.row != 0
	}
	st.unsaved, st.noteDue, st.floating = true, true, false
}

// plausible reports whether a client can have handled h stanzas.
func (st *state) plausible(h uint32) bool {
	if !st.floating {
		_, ok := acknowledged(h, st.queue.acked, st.queue.out())
		return ok
	}
	return h-st.queue.acked <= uint32(st.queue.len())+untraced
}

// untraced is how many stanzas may have been sent without a trace before a crash.
const untraced = 1 << 16

var errState = errors.New("smacks: saved state cannot be read")

// stateVersion begins what encodeState writes.
const stateVersion = 1

// encodeState saves what the store does not follow.
func encodeState(dst []byte, st *state) []byte {
	dst = append(dst, stateVersion)
	if st.phase != on || !st.resume {
		return append(dst, 0)
	}
	flags := byte(1)
	if st.live || st.floating {
		flags |= 2
	}
	if st.begun {
		flags |= 4
	}
	dst = append(dst, flags)
	dst = append(dst, st.secret[:]...)
	dst = binary.AppendUvarint(dst, uint64(st.window/time.Second))
	return binary.AppendUvarint(dst, uint64(st.base))
}

func decodeState(src []byte, st *state) error {
	if len(src) < 2 || src[0] != stateVersion {
		return errState
	}
	flags := src[1]
	if flags&1 == 0 {
		return nil
	}
	src = src[2:]
	if len(src) < len(st.secret) {
		return errState
	}
	copy(st.secret[:], src)
	src = src[len(st.secret):]
	window, n := binary.Uvarint(src)
	if n <= 0 {
		return errState
	}
	base, k := binary.Uvarint(src[n:])
	if k <= 0 || n+k != len(src) || window > 1<<32 || base > 1<<32-1 {
		return errState
	}
	st.phase, st.resume, st.window, st.base = on, true, time.Duration(window)*time.Second, uint32(base)
	st.floating, st.begun = flags&2 != 0, flags&4 != 0
	return nil
}
