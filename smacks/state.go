package smacks

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
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
	phase  phase
	resume bool     // may be resumed
	secret [32]byte // SHA-256 of the secret part of the token
	window time.Duration
	beginning
	owes    bool // an acknowledgement, as soon as it is on
	refuses int  // so many more requests to enable it, then
	tells   bool // another when what was received up to heard is handled
	heard   uint32

	queue window

	asked   bool      // the client owes an acknowledgement
	last    time.Time // when it was asked last
	overdue bool      // those who want to know are told that it is
	counted bool      // among all that wait
	share   int       // of their octets
	since   int       // stanzas since it was asked
	alone   bool      // few were when it was
	talks   bool      // a message is among them that would be stored
	again   bool      // it is to be asked once more when it has answered
	spent   time.Time // when all that it was asked early is made up for
	timer   *time.Timer
	fires   time.Time // when the timer does, zero if it is not running
	due     time.Time // when that means something, zero for never
	live    bool      // has a connection
	dead    bool      // must not wait for its client any more
	stalled int       // times it was resumed without progress
	waits   time.Time

	durable     atomic.Bool   // the store has it
	follows     atomic.Bool   // with all that changes, not just when the session is saved
	id          string        // what the store calls it
	begins      atomic.Uint32 // of the client's stanzas, the last that was not too late
	notes       atomic.Uint64 // as marks: which of the client's stanzas are noted
	noted       atomic.Uint32 // of ours, how many the client has acknowledged
	noteDue     bool          // the store is behind with acknowledgements
	noting      bool          // and will be told soon
	covered     uint32        // of the client's, up to which the store knows besides
	late        int           // acknowledgements that wait until it does
	owed        uint32        // what the last of them is to say, at least
	remembering bool          // and it will
	unsaved     bool          // some entries have no row, or an old one
	lastRow     uint64
	lastWait    uint64 // likewise of those that wait, see waiting
	floating    bool   // restored after a crash: what was sent last is not known
}

// settle decides, for a session that was restored after a crash, what a client that
// has handled h stanzas has got: all that were sent with a number up to h. What was
// sent beyond without a trace has no number any more; the rest gets new ones.
func (st *state) settle(h uint32) {
	w := &st.queue
	for w.len() > 0 {
		if e := w.take(); !e.sent || after(e.number, h) {
			break
		}
		w.drop(1)
	}
	w.acked = h
	st.noted.Store(h)
	for _, e := range w.all() {
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
