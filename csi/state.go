package csi

import (
	"sync/atomic"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// state is what is kept for each session, touched under its lock. It is the session's
// outbound sink as well, and holds the inbound one, so that an active session costs
// nothing more.
type state struct {
	x     *Extension
	s     *mux.Session
	next  mux.Sink
	in    inbound
	held  *held // of an inactive client; nil for an active one with nothing left
	flags atomic.Uint32
}

// The flags.
const (
	inactive  uint32 = 1 << iota // so the client is treated; changed under the lock
	wants                        // so it has said that it is
	wasActive                    // or that it is not, since that was dealt with
	stateDue                     // a mark for that is on its way
	spokeDue                     // a mark for what it has said is
)

func (st *state) is(flag uint32) bool { return st.flags.Load()&flag != 0 }

// set sets or clears a flag and reports whether it was set.
func (st *state) set(flag uint32, on bool) bool {
	if on {
		return st.flags.Or(flag)&flag != 0
	}
	return st.flags.And(^flag)&flag != 0
}

// held is what an inactive client costs.
type held struct {
	queue queue
	awake time.Time // until then everything is sent
	probe string    // id of the server's last ping that was not answered
	timer *time.Timer
	saved bool     // the session store has some of it
	raw   [][]byte // what was saved, until the mux has started
}

// Marks are put into the chain in place of a stanza, and go no further. So what they
// ask for happens between what was put before and after them, also behind a feed, and
// the kernel deals with what is too much. One of a kind is on its way at most, so that
// a client which does not read cannot pile them up.
var (
	stateMark = mark("state") // the client has said how it is
	spokeMark = mark("spoke") // the client has said something else
	agedMark  = mark("aged")  // something has been held for long
)

func mark(local string) *mux.Stanza {
	s, err := mux.Parse([]byte("<" + local + " xmlns='" + NS + "'/>"))
	if err != nil {
		panic(err) // cannot be: it is a constant
	}
	return s
}

// says notes how the client is.
func (st *state) says(away bool) {
	st.set(wants, away)
	if !away {
		st.set(wasActive, true)
	}
	st.mark(stateMark, stateDue)
}

func (st *state) mark(m *mux.Stanza, due uint32) {
	if !st.set(due, true) && !st.s.Put(mux.Item{Stanza: m, Flags: mux.Service}) {
		st.set(due, false)
	}
}

// activate sends what is held, and has the client asked what it has (smacks CSI-7,
// SM-40). For a client that is active already it does nothing (CSI-10).
func (st *state) activate() error {
	if !st.set(inactive, false) {
		return nil
	}
	if err := st.flush(ByActive, mux.Address{}); err != nil {
		return err
	}
	if a, ok := st.next.(mux.Asker); ok {
		a.Ask()
	}
	return nil
}

// deactivate begins to hold; what is held already stays (smacks CSI-10).
func (st *state) deactivate() {
	if !st.set(inactive, true) && st.held == nil {
		st.held = new(held)
	}
}

// spoke is what a stanza of an inactive client leads to: its radio is awake (smacks
// CSI-22).
func (st *state) spoke() error {
	if !st.is(inactive) {
		return nil
	}
	st.wake()
	return st.flush(ByClient, mux.Address{})
}

// wake has the next stanzas sent at once, if there is somebody to get them.
func (st *state) wake() {
	if st.x.opt.Awake > 0 && st.s.Stream() != nil {
		st.held.awake = time.Now().Add(st.x.opt.Awake)
	}
}
