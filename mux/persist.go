package mux

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// savedData is what a saved session consists of, beside what the store must
// know.
type savedData struct {
	Version  int               `json:"v"`
	Created  time.Time         `json:"created"`
	Presence string            `json:"presence,omitempty"`
	At       time.Time         `json:"at,omitzero"`
	Handled  uint32            `json:"h"`
	Rest     time.Duration     `json:"rest,omitzero"` // of its window, when it was saved
	Slots    map[string][]byte `json:"slots,omitempty"`
}

// saveWrite is the write that saves the session as it will be when w is durable;
// nil if there is nothing to save it for.
func (s *Session) saveWrite(w *Work) Write {
	m := s.m
	if m.opt.Sessions == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return nil
	}
	d := savedData{Version: 1, Created: s.created, Handled: s.handledWith(w), Slots: make(map[string][]byte)}
	if p := s.Presence(); p != nil {
		d.Presence, d.At = string(p.Stanza.Append(nil, NSClient)), p.At
	}
	for i, sl := range m.slots {
		if sl.name != "" {
			d.Slots[sl.name] = sl.encode(nil, s.slots[i])
		}
	}
	until := time.Time{}
	if s.State() != Live {
		// The clock on the wall may have been set since the window began.
		d.Rest = s.until.Sub(m.now())
		until = m.Wall().Add(d.Rest)
	}
	data, err := json.Marshal(d)
	if err != nil {
		m.log.LogAttrs(m.ctx, slog.LevelError, "session cannot be saved", slog.Any("err", err))
		return nil
	}
	s.saved.Store(true)
	return m.opt.Sessions.Save(SavedSession{ID: s.id.String(), JID: s.jid, Until: until, Data: data})
}

// saving tells that the session is going to be saved.
func (s *Session) saving(w *Work) {
	if s.m.opt.Sessions == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open() {
		return
	}
	for _, l := range s.m.lifecycles {
		if l.Saving != nil {
			s.m.protect(func() { l.Saving(s, w) })
		}
	}
}

var errSaved = errors.New("mux: saved session cannot be read")

// restore brings saved sessions back, before anything is accepted (kernel rule
// 7).
func (m *Mux) restore(ctx context.Context) error {
	if m.opt.Sessions == nil {
		return nil
	}
	list, err := m.opt.Sessions.Load(ctx)
	if err != nil {
		return err
	}
	for _, saved := range list {
		var broken error
		err := m.Do(ctx, saved.JID.Bare(), func(ctx context.Context, e *Event) {
			ok, err := m.host.LoadAccount(ctx, e.Account)
			if err != nil {
				broken = err
				return
			}
			if err := m.restoreOne(e, saved, ok); err != nil {
				m.log.LogAttrs(ctx, slog.LevelWarn, "session is not restored", slog.String("account", e.Account.String()), slog.Any("err", err))
				e.Work.Write(m.opt.Sessions.Delete(saved.ID))
			}
		})
		if err = errors.Join(err, broken); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mux) restoreOne(e *Event, saved SavedSession, exists bool) error {
	id, ok := ParseSessionID(saved.ID)
	var d savedData
	if err := json.Unmarshal(saved.Data, &d); err != nil {
		return err
	}
	if !ok || d.Version != 1 || saved.JID.IsBare() || e.acct.find(saved.JID) != nil {
		return errSaved
	}
	if !exists {
		return errSaved
	}
	s := m.newSession(id, saved.JID.clone(), e.acct)
	s.created, s.count.received, s.count.handled = d.Created, d.Handled, d.Handled
	if d.Presence != "" {
		p, err := Parse([]byte(d.Presence))
		if err != nil {
			m.release(s.acct)
			return err
		}
		s.notePresence(p, d.At)
	}
	for i, sl := range m.slots {
		src, has := d.Slots[sl.name]
		if sl.name == "" || !has {
			continue
		}
		if err := sl.decode(src, s.slots[i]); err != nil {
			m.release(s.acct)
			return err
		}
	}
	s.chain()
	s.saved.Store(true)
	s.locked(func() {
		s.state.Store(uint32(Hibernating))
		s.until = m.now().Add(m.restoredFor(s, saved.Until, d.Rest))
	})
	e.acct.addSession(s)
	m.sessions.put(s.id, s)
	return nil
}

// RestoreHandled sets how many stanzas of the peer have been received and
// finished, for an extension that counts more exactly than sessions are saved
// (XEP-0198 §4). It may be called by [Starter.Start] only, for sessions that were
// restored.
func (s *Session) RestoreHandled(n uint32) {
	s.count.mu.Lock()
	defer s.count.mu.Unlock()
	s.count.received, s.count.handled = n, n
}

// resumeWindows starts the clocks of restored sessions; those whose window is
// over end.
func (m *Mux) resumeWindows() {
	for _, s := range m.sessions.all() {
		s.locked(func() {
			if s.State() == Hibernating && s.timer == nil {
				s.hibernate(s.until.Sub(m.now()))
			}
		})
	}
}

// restoredFor is how long a restored session is kept: the rest of its window,
// which begins anew for one that was live when the process ended; not above zero
// if it is over. A clock that was set back does not make it longer. The lock is held.
func (m *Mux) restoredFor(s *Session, until time.Time, rest time.Duration) time.Duration {
	if !until.IsZero() {
		keep := until.Sub(m.Wall())
		if rest > 0 {
			keep = min(keep, rest)
		}
		return keep
	}
	keep := time.Duration(0)
	for _, l := range m.lifecycles {
		if l.Detached != nil {
			keep = max(keep, l.Detached(s))
		}
	}
	return keep
}
