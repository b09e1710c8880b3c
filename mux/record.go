package mux

import (
	"crypto/rand"
	"strconv"
	"sync"
	"sync/atomic"
)

// Record is shared by all copies of one message. It decides once what becomes
// of the message: as long as one copy may still reach its peer nothing is done
// about another that did not, and once one has arrived nothing is.
//
// The zero value is ready. All methods may be called concurrently.
type Record struct {
	v    atomic.Int32 // number of holders; recordDone when one copy has arrived
	more atomic.Pointer[recordMore]
}

// recordMore is what few messages have.
type recordMore struct {
	mu  sync.Mutex
	ids []archived
	tag string // names the record where it is saved
	// arrived are told when a copy has arrived.
	arrived []func()
}

type archived struct {
	account Address
	id      string
}

const recordDone = 1 << 30

// Hold notes that a session has a copy that its peer has not got yet.
func (r *Record) Hold() {
	if r != nil {
		r.v.Add(1)
	}
}

// Arrived notes that a copy has reached its peer: acknowledged where there is
// stream management, written to the connection where there is none.
func (r *Record) Arrived() {
	if r == nil {
		return
	}
	r.v.Or(recordDone)
	r.v.Add(-1)
	r.tell()
}

// OnArrived runs f once a copy has reached its peer, at once if one has. f runs
// on whatever goroutine learns of it, maybe under a session's lock: it must not
// wait, and may use no session.
func (r *Record) OnArrived(f func()) {
	m := r.extra()
	m.mu.Lock()
	m.arrived = append(m.arrived, f)
	m.mu.Unlock()
	if r.Done() {
		r.tell()
	}
}

// tell calls those that wait for the first copy to arrive.
func (r *Record) tell() {
	m := r.more.Load()
	if m == nil {
		return
	}
	m.mu.Lock()
	waiting := m.arrived
	m.arrived = nil
	m.mu.Unlock()
	for _, f := range waiting {
		f()
	}
}

// Lost notes that a copy will not reach its peer, and reports whether it was the
// last hope: nobody holds another, and none has arrived.
func (r *Record) Lost() bool { return r == nil || r.v.Add(-1) == 0 }

// Done reports whether a copy has arrived.
func (r *Record) Done() bool { return r != nil && r.v.Load()&recordDone != 0 }

// MarkArrived notes that a copy has reached its peer of which nobody keeps track any
// more, such as before a restart.
func (r *Record) MarkArrived() {
	r.v.Or(recordDone)
	r.tell()
}

// Shared reports whether several hold copies now.
func (r *Record) Shared() bool { return r != nil && r.v.Load()&^recordDone > 1 }

// Tag names the record where items are saved (see [Item.AppendSaved]): it is the same
// for all copies, and stays so across restarts.
func (r *Record) Tag() string {
	m := r.extra()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.name()
}

// name is the tag; the lock is held.
func (m *recordMore) name() string {
	if m.tag == "" {
		m.tag = newTag()
	}
	return m.tag
}

// newTag makes a name that no process has given before: of 128 random bits for the
// process, and a number.
func newTag() string {
	tags.once.Do(func() { tags.process = rand.Text() + "." })
	b := make([]byte, 0, 40)
	b = append(b, tags.process...)
	return string(strconv.AppendUint(b, tags.n.Add(1), 36))
}

var tags struct {
	once    sync.Once
	process string
	n       atomic.Uint64
}

func (r *Record) extra() *recordMore {
	if m := r.more.Load(); m != nil {
		return m
	}
	r.more.CompareAndSwap(nil, new(recordMore))
	return r.more.Load()
}

// SetArchived notes the name that the message has in the archive of an account
// (XEP-0359 §3).
func (r *Record) SetArchived(account Address, id string) {
	m := r.extra()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.ids {
		if m.ids[i].account == account {
			m.ids[i].id = id
			return
		}
	}
	m.ids = append(m.ids, archived{account, id})
}

// Archived is the name that the message has in the archive of an account, empty
// if it is not there.
func (r *Record) Archived(account Address) string {
	if r == nil {
		return ""
	}
	m := r.more.Load()
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.ids {
		if a.account == account {
			return a.id
		}
	}
	return ""
}

// SetStored notes the name that the message has in an offline store, which is
// saved with its items as those in archives are.
func (r *Record) SetStored(id string) { r.SetArchived(Address{}, id) }

// Stored is the name that the message has in an offline store, empty if it came
// from none.
func (r *Record) Stored() string { return r.Archived(Address{}) }
