package archive

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// account is what is remembered of an account in use. It is touched in the account's
// turns only.
type account struct {
	first, last stamp // of the messages archived since it is in use
	rooms       recent[private]
}

// stamp is the name and time of a message.
type stamp struct {
	id string
	at time.Time
}

// private is a private message from a chat room: room services send each session
// that has joined one of its own.
type private struct {
	to mux.Address
	id string
}

// recent remembers the last few things by their hash, oldest overwritten first.
type recent[T any] struct {
	keys   []uint64
	values []T
	next   int
}

func (r *recent[T]) add(key uint64, v T, most int) {
	if len(r.keys) < most {
		r.keys, r.values = append(r.keys, key), append(r.values, v)
		return
	}
	r.keys[r.next], r.values[r.next] = key, v
	r.next = (r.next + 1) % most
}

func (r *recent[T]) find(key uint64) (v T, ok bool) {
	for i := len(r.keys) - 1; i >= 0; i-- {
		if r.keys[i] == key {
			return r.values[i], true
		}
	}
	return v, false
}

var seed = maphash.MakeSeed()

func hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, p := range parts {
		_, _ = h.WriteString(p) // never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

const (
	maxSent  = 1 << 18 // messages whose errors are recognised, at least those sent last
	maxRooms = 16      // private messages from rooms, for each account
)

// sent remembers what was archived when it was sent, also of accounts that have gone
// since: those have other devices.
type sent struct {
	mu       sync.Mutex // guards what follows
	now, old map[uint64]struct{}
}

func (s *sent) add(key uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || len(s.now) >= maxSent {
		s.now, s.old = make(map[uint64]struct{}), s.now
	}
	s.now[key] = struct{}{}
}

func (s *sent) has(key uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, now := s.now[key]
	_, old := s.old[key]
	return now || old
}

// made are the marks of what was archived when it was a message: copies, and what is
// delivered once more.
const made = mux.Copy | mux.Replay | mux.Offline | mux.ArchiveResult

// outgoing is what an account sends (core-im COMB-2).
func (x *Extension) outgoing(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	e.Stanza = withoutForged(e.Stanza, e.Account)
	peer := recipient(e)
	if peer.IsZero() || peer.Bare() == e.Account {
		return mux.Pass, nil // archived when it arrives (MAM-9), in the same turn
	}
	c := contentOf(e.Stanza)
	if e.Item.Flags&made != 0 || !worth(e.Stanza.Type(), c, false) || !x.wanted(ctx, e, peer) {
		return mux.Pass, nil
	}
	x.archive(e, peer, "")
	if id := e.Stanza.ID(); id != "" {
		x.sent.add(hash(e.Account.String(), peer.Bare().String(), id))
	}
	return mux.Pass, nil
}

// incoming is what arrives for an account (core-im COMB-1).
func (x *Extension) incoming(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	e.Stanza = withoutForged(e.Stanza, e.Account)
	if e.Item.Flags&made != 0 {
		return mux.Pass, nil
	}
	if id, ok := StanzaID(e); ok { // was archived as what the account sends
		e.Stanza = e.Stanza.With(id)
		return mux.Pass, nil
	}
	peer := e.Stanza.From()
	if peer.Bare() == e.Account {
		peer = recipient(e)
	}
	c := contentOf(e.Stanza)
	if !worth(e.Stanza.Type(), c, e.Stanza.Type() == "error" && x.answers(e, peer)) || !x.wanted(ctx, e, peer) || e.Refused() {
		return mux.Pass, nil
	}
	key, id := x.again(e, c)
	fresh := id == ""
	id = x.archive(e, peer, id)
	if key != 0 && fresh {
		x.accounts.Of(e).rooms.add(key, private{recipient(e), id}, maxRooms)
	}
	e.Stanza = e.Stanza.With(stanzaID(e.Account, id))
	return mux.Pass, nil
}

// recipient is who the message of the event is for.
func recipient(e *mux.Event) mux.Address {
	if !e.Item.To.IsZero() {
		return e.Item.To
	}
	return e.Stanza.To()
}

// archive appends the message of the event to the account's archive. With an id it
// is there already. It returns the id.
func (x *Extension) archive(e *mux.Event, peer mux.Address, id string) string {
	at := e.Item.At
	if at.IsZero() {
		at = time.Now()
	}
	fresh := id == ""
	if fresh {
		id = newID(at)
	}
	if e.Item.Record == nil {
		e.Item.Record = new(mux.Record) // such as an error that the kernel has made
	}
	e.Item.Record.SetArchived(e.Account, id)
	if !fresh {
		return id
	}
	a := x.accounts.Of(e)
	// What is shown of the time is milliseconds; so it is what is searched.
	a.last = stamp{id, at.Truncate(time.Millisecond)}
	if a.first.id == "" {
		a.first = a.last
	}
	e.Work.Write(x.store.Append(e.Account, Entry{ID: id, At: a.last.at, With: peer, Stanza: original(e)}))
	x.retain(e)
	return id
}

// original is the message as it is archived, with the address it is for.
func original(e *mux.Event) []byte {
	it := mux.Item{Stanza: e.Stanza, To: recipient(e)}
	return it.Append(make([]byte, 0, e.Stanza.Size()+len(e.Account.String())+64), mux.NSClient)
}

// answers reports whether an error answers a message that was archived when it was
// sent, as far as that is remembered.
func (x *Extension) answers(e *mux.Event, peer mux.Address) bool {
	id := e.Stanza.ID()
	return id != "" && x.sent.has(hash(e.Account.String(), peer.Bare().String(), id))
}

// again is the name of a private message from a chat room that another session has
// got already, empty if none has: rooms send one to each (core-im MAM-19). The key is
// what to remember one by, 0 for what is no such message.
func (x *Extension) again(e *mux.Event, c content) (key uint64, id string) {
	s, to := e.Stanza, recipient(e)
	if c&hasRoom == 0 || s.ID() == "" || s.From().IsBare() || to.IsBare() {
		return 0, ""
	}
	body, _ := s.Child(bodyName)
	key = hash(s.From().String(), s.ID(), body.Raw())
	if p, ok := x.accounts.Of(e).rooms.find(key); ok && p.to != to {
		return key, p.id
	}
	return key, ""
}
