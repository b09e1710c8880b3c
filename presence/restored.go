package presence

import (
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// again asks, after a restart, for the presence that restored sessions have missed
// (core-im GS-2a): that of remote contacts, the end of local ones whose sessions a crash
// has cut off, and what sessions of the account itself were about to be told.
type again struct {
	cancel context.CancelFunc // nil if there is nothing to ask
	done   sync.WaitGroup
}

// question is a probe that waits until it may go.
type question struct {
	session mux.SessionID
	contact mux.Address
}

// Start implements [mux.Starter].
func (x *Extension) Start(_ context.Context, m *mux.Mux) error {
	if x.opt.ProbesPerSecond < 0 {
		return nil
	}
	var restored []*mux.Session
	for s := range m.AllSessions() {
		if s.Available() {
			restored = append(restored, s)
		}
	}
	if len(restored) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	x.again.cancel = cancel
	x.again.done.Go(func() { x.askAgain(ctx, m, restored) })
	return nil
}

// Shutdown implements [mux.Stopper].
func (x *Extension) Shutdown(context.Context) error {
	if x.again.cancel != nil {
		x.again.cancel()
		x.again.done.Wait()
	}
	return nil
}

// askAgain probes the contacts of the sessions: local ones at once, others domain by
// domain as fast as it may.
func (x *Extension) askAgain(ctx context.Context, m *mux.Mux, restored []*mux.Session) {
	waiting := make(map[string][]question)
	for _, s := range restored {
		if ctx.Err() != nil {
			return
		}
		_ = m.Do(ctx, s.Account(), func(ctx context.Context, e *mux.Event) { // an error: the mux ends
			x.showOthers(ctx, e, s)
			for _, contact := range x.seen(ctx, e) {
				if m.Ours(contact) {
					x.question(ctx, e, s, contact)
					continue
				}
				waiting[contact.Domain()] = append(waiting[contact.Domain()], question{s.ID(), contact})
			}
		})
	}
	for {
		for domain, list := range waiting {
			n := min(len(list), x.opt.ProbesPerSecond)
			for _, q := range list[:n] {
				if s := m.SessionByID(q.session); s != nil {
					m.Go(s.Account(), func(ctx context.Context, e *mux.Event) { x.question(ctx, e, s, q.contact) })
				}
			}
			if waiting[domain] = list[n:]; n == len(list) {
				delete(waiting, domain)
			}
		}
		if len(waiting) == 0 {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// showOthers shows a session those that its account has besides.
func (x *Extension) showOthers(ctx context.Context, e *mux.Event, s *mux.Session) {
	if !s.Available() || s.State() > mux.Hibernating {
		return
	}
	for _, other := range e.Sessions() {
		if p := other.Presence(); other != s && p != nil && p.Available {
			it := x.current(e, other, p, s.JID())
			it.Flags = mux.Service
			e.SendItem(ctx, it)
		}
	}
}

// seen are the contacts whose presence the account of the turn receives.
func (x *Extension) seen(ctx context.Context, e *mux.Event) (list []mux.Address) {
	err := x.subs.Load(ctx, e)
	if err == nil {
		err = x.subs.Contacts(ctx, e, func(contact mux.Address, _, to bool) bool {
			if to {
				list = append(list, contact)
			}
			return true
		})
	}
	if err != nil {
		x.logError(ctx, e, "contacts are not probed", err)
	}
	return list
}

// question sends a probe for a session that is still there.
func (x *Extension) question(ctx context.Context, e *mux.Event, s *mux.Session, contact mux.Address) {
	if s.Available() && s.State() <= mux.Hibernating {
		e.SendItem(ctx, mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Presence, Type: "probe", From: s.JID()}), To: contact})
	}
}
