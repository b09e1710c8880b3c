package csi

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// detached: nobody is there to get anything, so the session goes on being spared, and
// nothing gets too old (smacks CSI-13). Under the lock.
func (x *Extension) detached(s *mux.Session) time.Duration {
	if h := x.key.Of(s).held; h != nil {
		h.disarm()
		h.awake, h.probe = time.Time{}, ""
	}
	return 0
}

func (h *held) disarm() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// watchAge has what is held sent when it gets too old.
func (st *state) watchAge() {
	h := st.held
	if st.x.opt.MaxAge <= 0 || h.timer != nil || st.s.Stream() == nil {
		return
	}
	s := st.s
	h.timer = time.AfterFunc(time.Until(h.queue.oldest().Add(st.x.opt.MaxAge)), func() {
		s.Put(mux.Item{Stanza: agedMark, Flags: mux.Service})
	})
}

// aged is what the timer does.
func (st *state) aged() error {
	h := st.held
	if h == nil || h.timer == nil {
		return nil
	}
	h.timer = nil
	if h.queue.n == 0 {
		return nil
	}
	if time.Since(h.queue.oldest()) < st.x.opt.MaxAge {
		st.watchAge() // that which was oldest was replaced
		return nil
	}
	return st.flush(ByAge, mux.Address{})
}

// saveWith has the session saved with what an item is part of, so that the one is
// there if the other is.
func (st *state) saveWith(it *mux.Item) {
	if it.Work != nil && st.s.Durable(nil) {
		it.Work.Save(st.s) // its turn is the one that runs
		return
	}
	st.saveLater()
}

// saveLater has it saved soon.
func (st *state) saveLater() {
	s := st.s
	s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) { e.Work.Save(s) })
}
