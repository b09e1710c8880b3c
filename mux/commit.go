package mux

import (
	"context"
	"log/slog"
	"sync"
)

// commits keeps the Works that wait for their batch, in the order of the
// batches.
type commits struct {
	mu    sync.Mutex
	first []*Work
}

// committed is what the committer tells when a batch has ended.
func (m *Mux) committed(batch uint64, err error) {
	m.commits.mu.Lock()
	n := 0
	for n < len(m.commits.first) && m.commits.first[n].batch <= batch {
		n++
	}
	done := m.commits.first[:n:n]
	m.commits.first = m.commits.first[n:]
	if len(m.commits.first) == 0 {
		m.commits.first = nil
	}
	m.commits.mu.Unlock()
	if n == 0 {
		return
	}
	r := m.newRunner()
	for _, w := range done {
		w.finish(r, err)
	}
	r.handOn() // a turn might wait for the committer, whose goroutine this is
	r.end()
}

// applyNow is what happens to writes where there is no committer.
func (m *Mux) applyNow(writes []Write) (err error) {
	if !m.opt.NoRecover {
		defer func() {
			if p := recover(); p != nil {
				err = m.panicError(p)
			}
		}()
	}
	for _, f := range writes {
		if err := f(m.ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// commitFailed ends the streams whose stanzas were in a failed batch, and has
// the accounts concerned load their state again before their next turn (core-im
// GS-2b). Nothing of it was acknowledged or sent.
func (m *Mux) commitFailed(r *runner, w *Work, err error) {
	m.log.LogAttrs(m.ctx, slog.LevelError, "commit failed", slog.Any("err", err))
	if w.sess != nil {
		w.sess.Close(errServer) // it could not be resumed without doubling what came behind
	} else if w.stream != nil {
		w.stream.Close(errServer)
	}
	for _, s := range w.touched {
		s.Close(errServer) // what is lost may be in its sinks; what is not is disposed of
	}
	for _, s := range w.changed {
		s.Close(errServer) // it could not be restored as it is
	}
	for _, a := range w.accounts {
		t := newTask(callTask, m.newWork())
		t.fn = func(ctx context.Context, e *Event) {
			e.acct.slots = nil
			if err := Emit(ctx, e, StateLost{err}); err != nil {
				m.log.LogAttrs(ctx, slog.LevelError, "reload failed", slog.String("account", e.Account.String()), slog.Any("err", err))
			}
		}
		m.retain(a)
		if a.pushFront(t) {
			r.add(a)
		}
	}
}
