package mux

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// SessionID names a session: 128 random bits, never used again.
type SessionID [16]byte

// String is the text form.
func (id SessionID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseSessionID reads the text form; ok is false for anything else.
func ParseSessionID(s string) (id SessionID, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) || base64.RawURLEncoding.EncodeToString(b) != s {
		return id, false
	}
	copy(id[:], b)
	return id, true
}

func newSessionID() (id SessionID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// SessionState says how a session is.
type SessionState uint8

// The states, in the only order they are gone through, but for the way back from
// Hibernating to Live.
const (
	Live        SessionState = iota // has a stream, or is getting one
	Hibernating                     // waits for its peer to come back
	Closing                         // what it had is being disposed of
	Gone
)

// String names the state.
func (s SessionState) String() string {
	return [...]string{"live", "hibernating", "closing", "gone"}[s]
}

// PresenceInfo is the last undirected presence of a session.
type PresenceInfo struct {
	Stanza    *Stanza
	Priority  int
	Available bool
	At        time.Time
}

// Session is one bound resource. It is created at bind and may outlive its
// streams and the process.
type Session struct {
	id   SessionID
	jid  Address
	m    *Mux
	acct *account
	// Created is when the resource was bound.
	created time.Time

	presence atomic.Pointer[PresenceInfo]
	stream   atomic.Pointer[Stream]
	state    atomic.Uint32
	dirty    atomic.Bool // in a runner's list
	saved    atomic.Bool // the session store has it
	slots    []any

	mu        sync.Mutex // the outbound chain, and what follows
	out       Sink
	in        Sink
	tracked   bool // a sink of layer Track answers for what was sent
	sinks     []Sink
	q         outQueue
	flushing  bool
	replaying bool        // the write limit does not hold
	over      bool        // more was to be written than may wait
	gap       bool        // something was left out since, see wireSink
	apart     atomic.Bool // what it leaves goes to no other session
	putting   *Work       // puts an item into the chain
	taking    *Stream     // is taking the session over
	timer     *time.Timer
	until     time.Time
	left      []Item // was queued before anybody tracked, and not written
	feeds     []*feed
	feeding   bool                          // a goroutine does
	low       atomic.Pointer[chan struct{}] // little is waiting to be written; nil before the first feed
	done      chan struct{}                 // closed when the session is gone, see ended
	gone      bool
	bye       func() // closes the stream of a session that has ended

	count counters
}

// ID names the session.
func (s *Session) ID() SessionID { return s.id }

// JID is the full JID.
func (s *Session) JID() Address { return s.jid }

// Account is the bare JID.
func (s *Session) Account() Address { return s.acct.addr }

// Mux is the mux the session belongs to.
func (s *Session) Mux() *Mux { return s.m }

// Created is when the resource was bound.
func (s *Session) Created() time.Time { return s.created }

// Presence is the last undirected presence, nil before the first.
func (s *Session) Presence() *PresenceInfo { return s.presence.Load() }

// Available reports whether the session is available (RFC 6121 §4.2).
func (s *Session) Available() bool {
	p := s.Presence()
	return p != nil && p.Available
}

// Stream is the live connection, nil while there is none.
func (s *Session) Stream() *Stream { return s.stream.Load() }

// State is the session's state at this moment.
func (s *Session) State() SessionState { return SessionState(s.state.Load()) }

// open reports whether stanzas may be put into the session.
func (s *Session) open() bool { return s.State() <= Hibernating }

// Sync runs f under the session's lock, in which the sinks run too, and writes
// what f put into them. f must not wait.
func (s *Session) Sync(f func()) {
	over := false
	s.locked(func() {
		f()
		over, s.over = s.over, false
	})
	if over {
		s.overflowed(false)
	}
	s.flushNow()
}

// locked runs f under the lock, which is released also if f panics.
func (s *Session) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Sync is [Session.Sync] for the session of the event, in handlers of nonzas: what f
// put into it is written with what else the input leads to.
func (e *Event) Sync(f func()) {
	s := e.Session
	over := false
	s.locked(func() {
		f()
		over, s.over = s.over, false
	})
	if over {
		s.overflowed(false)
	}
	e.r.touch(s)
}

// Turn runs f in a turn of the session's account, for handlers of nonzas: before the
// turns of what the peer has sent behind. f must not wait.
func (e *Event) Turn(f func(ctx context.Context, e *Event)) {
	t := newTask(callTask, e.m.newWork())
	t.fn = f
	e.r.submit(e.m.use(e.Account), t)
}

// flushNow writes what is ready, outside of a turn.
func (s *Session) flushNow() {
	r := s.m.newRunner()
	r.touch(s)
	r.end()
}

// Put sends an item down the session's chain: for timers and nonza handlers. It
// reports whether it was taken.
func (s *Session) Put(it Item) bool {
	r := s.m.newRunner()
	it.Work, it.gen = nil, 0
	ok := s.put(r, &it)
	r.touch(s)
	r.end()
	return ok
}

// Ask asks the peer to acknowledge what it was sent, if a sink can: the way to see
// whether a silent peer is there (XEP-0198 §8.2). It reports whether it was asked.
func (s *Session) Ask() (asked bool) {
	s.Sync(func() {
		if !s.tracked {
			return
		}
		for _, k := range s.sinks {
			if k, ok := k.(Asker); ok {
				k.Ask()
				asked = true
			}
		}
	})
	return asked
}

// Wire is the end of the outbound chain: for elements that must not pass the
// sinks, such as acknowledgements. It is for use in Sync, by sinks and Attached.
func (s *Session) Wire() Sink { return (*wireSink)(s) }

// Say puts an element behind all that is to be written already. It must not be
// counted or answered for by a sink, such as an acknowledgement, and it is for use
// where [Session.Wire] is.
func (s *Session) Say(el *Stanza) error {
	it := Item{Stanza: el, Flags: Service}
	return (*wireSink)(s).Put(&it)
}

// KeepApart has what the session leaves when it ends go to no other session of the
// account: its peer may have had it, and nobody can know.
func (s *Session) KeepApart() { s.apart.Store(true) }

// Close ends the session: with a stream error, or properly if err is nil. It
// returns before that is done.
func (s *Session) Close(err error) {
	st := s.Stream()
	s.m.Go(s.acct.addr, func(ctx context.Context, e *Event) { s.m.endSession(ctx, e, s, err) })
	if st != nil {
		st.Close(err)
	}
}

// put sends an item down the chain, as part of a turn.
func (s *Session) put(r *runner, it *Item) bool {
	if s.m.committer == nil {
		it.Work = nil
	}
	took, over, err := s.chainPut(it)
	if err != nil {
		it.Record.Lost()
	}
	if over || err != nil {
		s.overflowed(err != nil)
	}
	if !took {
		return false
	}
	if it.Work == nil {
		r.touch(s)
	} else {
		it.Work.touch(s)
	}
	return true
}

// Durable adds a durable change to the Work whose turn is putting an item into the
// session, for sinks, in Put and Wait; false if there is none, or no need.
func (s *Session) Durable(f Write) bool {
	if s.putting == nil {
		return false
	}
	s.putting.Write(f)
	return true
}

// overflowed gives the stream up, or a session that has none: it must not keep
// the old and pass by the new (core-im LIM-17, LIM-18). What was refused by a sink
// ends the session with its stream; what merely cannot be written will be replayed.
func (s *Session) overflowed(refused bool) {
	if st := s.Stream(); st != nil {
		if refused {
			st.Close(errPolicy)
		} else {
			st.Close(ErrDropped)
		}
		return
	}
	s.m.Go(s.acct.addr, func(ctx context.Context, e *Event) {
		if s.Stream() == nil {
			s.m.endSession(ctx, e, s, nil)
		}
	})
}

// chainPut puts an item into the chain, or behind a feed.
func (s *Session) chainPut(it *Item) (took, over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return false, false, nil
	}
	it.Record.Hold()
	s.putting = it.Work
	defer func() { s.putting = nil }()
	if len(s.feeds) > 0 {
		err = s.behindFeeds(it)
	} else {
		err = s.out.Put(it)
	}
	over, s.over = s.over, false
	return err == nil, over, err
}

// notePresence keeps the kernel's facts of an undirected presence (RFC 6121
// §4.2, §4.7.2.3).
func (s *Session) notePresence(p *Stanza, at time.Time) {
	if p.typ != "" && p.typ != "unavailable" {
		return
	}
	s.presence.Store(&PresenceInfo{Stanza: p, Priority: priorityOf(p), Available: p.typ == "", At: at})
}

// priorityOf reads the priority: -128 to 127, 0 for what is no number.
func priorityOf(p *Stanza) int {
	c, ok := p.Child(priorityName)
	if !ok {
		return 0
	}
	return parsePriority(c.Text())
}

// parsePriority reads a priority (RFC 6121 §4.7.2.3): out of range is clamped,
// garbage counts as 0.
func parsePriority(text string) int {
	text = strings.TrimSpace(text)
	neg := strings.HasPrefix(text, "-")
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if digits == "" {
		return 0
	}
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0
		}
		n = min(n*10+int(c-'0'), 1000)
	}
	if neg {
		return max(-n, -128)
	}
	return min(n, 127)
}

var priorityName = xml.Name{Space: NSClient, Local: "priority"}
