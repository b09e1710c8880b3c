package smacks

import (
	"context"
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
)

// Notice is something that happens to a session whose client may not be there, for
// those who can wake it, such as push services.
type Notice struct {
	Kind    NoticeKind
	Session *mux.Session
	// Stanzas are what the client may not have: with NoticeOverdue and NoticeWaits all that is
	// not acknowledged, with NoticeQueued one more. What has been told of once is not told
	// of again, but for NoticeWaits after NoticeOverdue.
	Stanzas []*mux.Stanza
}

// NoticeKind is what happens.
type NoticeKind uint8

const (
	// NoticeOverdue: the client is connected and does not acknowledge.
	NoticeOverdue NoticeKind = iota
	// NoticeWaits: the connection is lost, and the session waits for its client.
	NoticeWaits
	// NoticeQueued: a stanza came for a session that waits.
	NoticeQueued
	// NoticeResumed and NoticeEnded: it waits no more.
	NoticeResumed
	NoticeEnded
)

// notify tells who wants to know, in a turn; the session's lock may be held.
func (x *Extension) notify(s *mux.Session, n Notice) {
	if x.opt.Notify == nil {
		return
	}
	n.Session = s
	s.Mux().Go(s.Account(), func(ctx context.Context, e *mux.Event) { x.opt.Notify(ctx, e, n) })
}

// waitingSessions counts those of all accounts. The zero value is ready.
type waitingSessions struct{ n, bytes atomic.Int64 }

// enter counts a session that begins to wait, unless there are too many; its lock is
// held.
func (w *waitingSessions) enter(x *Extension, st *state) bool {
	if st.counted {
		return true
	}
	if w.n.Load() >= int64(x.opt.MaxAllWaiting) || w.bytes.Load()+int64(st.queue.bytes) > int64(x.opt.MaxAllBytes) {
		return false
	}
	w.count(st)
	return true
}

// count counts one however many there are, such as one that was restored.
func (w *waitingSessions) count(st *state) {
	st.counted = true
	w.n.Add(1)
	w.add(st, st.queue.bytes)
}

// leave is for one that waits no more; false if it did not. Its lock is held.
func (w *waitingSessions) leave(st *state) bool {
	if !st.counted {
		return false
	}
	st.counted = false
	w.n.Add(-1)
	w.add(st, -st.share)
	return true
}

func (w *waitingSessions) add(st *state, n int) {
	st.share += n
	w.bytes.Add(int64(n))
}
