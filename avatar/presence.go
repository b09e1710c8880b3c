package avatar

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// session is what was told of a session. It is changed in turns and saved outside of
// them.
type session struct {
	mu     sync.Mutex // guards what follows
	manner manner     // of the last presence that was broadcast
	told   photo      // by the last broadcast

	// last and now are its last presence as it was and as it is with what is known; now is
	// nil if that was not asked.
	last, now *mux.Stanza
	with      photo // that is in now

	at time.Time // when it was last told again
}

// presence adds the avatar's hash to what a client says (XEP-0398 §4).
func (x *Extension) presence(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Session == nil {
		return mux.Pass, nil
	}
	broadcast := e.Stanza.To().IsZero() && e.Stanza.MalformedTo() == ""
	if !available(e) {
		if broadcast && e.Stanza.Type() == "unavailable" {
			x.sessions.Of(e.Session).said(e.Stanza, left, photo{})
		}
		return mux.Pass, nil
	}
	a, first := x.accounts.Of(e), !x.ready(e)
	var p photo
	if err := x.load(ctx, e); err == nil {
		if p = a.photo; first {
			x.tellOthers(ctx, e)
		}
	} else if len(e.Sessions()) > 0 {
		x.readLater(e) // it may be on its way to the store
	}
	s, how := p.add(e.Stanza)
	e.Stanza = s
	if broadcast {
		x.sessions.Of(e.Session).said(s, how, p)
	}
	return mux.Pass, nil
}

func available(e *mux.Event) bool { return e.Session != nil && e.Stanza.Type() == "" }

// said notes what a broadcast says.
func (s *session) said(p *mux.Stanza, how manner, with photo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manner, s.told, s.last, s.now, s.with = how, with, p, p, with
}

// Current is the last presence of a session of e's account with what is known of the
// avatar now; as long as nothing is, since the account's state was lost, with what was
// told last. It is called in the account's turn and does not wait.
func (x *Extension) Current(e *mux.Event, s *mux.Session, p *mux.Stanza) *mux.Stanza {
	if !x.ready(e) {
		return x.sessions.Of(s).current(p, nil)
	}
	return x.sessions.Of(s).current(p, &x.accounts.Of(e).photo)
}

// current is p with what is known, nil for what was told.
func (s *session) current(p *mux.Stanza, known *photo) *mux.Stanza {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known == nil {
		known = &s.told
	}
	with := *known
	if p.Type() != "" || known == &s.told && !with.known {
		return p
	}
	if s.last != p || s.now == nil || s.with != with {
		base := p
		if s.manner == ours {
			base = without(p)
		}
		s.last, s.with = p, with
		s.now, _ = with.add(base)
	}
	return s.now
}

// tellOthers tells what was still to be told of other sessions when the server ended.
func (x *Extension) tellOthers(ctx context.Context, e *mux.Event) {
	for _, s := range e.Sessions() {
		if s != e.Session {
			x.tell(ctx, e, s)
		}
	}
}

// tellAll has the presence of the account's sessions told again where it says something
// else than what is known.
func (x *Extension) tellAll(ctx context.Context, e *mux.Event) {
	for _, s := range e.Sessions() {
		x.tell(ctx, e, s)
	}
}

func (x *Extension) tell(ctx context.Context, e *mux.Event, s *mux.Session) {
	a := x.accounts.Of(e)
	if !s.Available() || !a.ready {
		return
	}
	now, wait := x.sessions.Of(s).due(a.photo, x.opt.Every)
	if wait > 0 {
		x.later.start(s, wait, func() { s.Mux().Go(s.Account(), func(ctx context.Context, e *mux.Event) { x.again(ctx, e, s) }) })
	}
	if now {
		x.opt.Resend(ctx, e, s)
		e.Work.Save(s)
	}
}

// due reports whether presence is to be told again now, or when it is to be if it was told
// just now (pep AV-11). What is not known any more is not told.
func (s *session) due(p photo, every time.Duration) (now bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.known || s.manner == empty || s.told == p {
		return false, 0
	}
	if wait := every - time.Since(s.at); !s.at.IsZero() && wait > 0 {
		return false, wait
	}
	s.at, s.told = time.Now(), p
	return true, 0
}

// again is what happens when a session's presence may be told again.
func (x *Extension) again(ctx context.Context, e *mux.Event, s *mux.Session) {
	x.later.stop(s)
	if s.State() > mux.Hibernating {
		return
	}
	if err := x.load(ctx, e); err != nil {
		x.failed(ctx, e.Account, err)
		return
	}
	x.tell(ctx, e, s)
}

// closed is told of the end of a session.
func (x *Extension) closed(_ context.Context, e *mux.Event) { x.later.stop(e.Session) }

// Shutdown implements [mux.Stopper].
func (x *Extension) Shutdown(context.Context) error {
	x.later.end()
	return nil
}

// timers are those of sessions that wait until they may be told again.
type timers struct {
	mu    sync.Mutex // guards what follows
	by    map[*mux.Session]*time.Timer
	ended bool
}

// start has f run after a while, unless the session waits already.
func (t *timers) start(s *mux.Session, wait time.Duration, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[s] != nil || t.ended {
		return
	}
	if t.by == nil {
		t.by = make(map[*mux.Session]*time.Timer)
	}
	t.by[s] = time.AfterFunc(wait, f)
}

func (t *timers) stop(s *mux.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if timer := t.by[s]; timer != nil {
		timer.Stop()
		delete(t.by, s)
	}
}

func (t *timers) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, timer := range t.by {
		timer.Stop()
	}
	t.by, t.ended = nil, true
}

// A saved session: a version, the manner, whether a hash was told, and the hash.
const savedVersion = 1

var errSaved = errors.New("avatar: saved session cannot be read")

func encodeSession(dst []byte, s *session) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := byte(0)
	if s.told.known {
		known = 1
	}
	return append(append(dst, savedVersion, byte(s.manner), known), s.told.hash...)
}

func decodeSession(src []byte, s *session) error {
	if len(src) < 3 || src[0] != savedVersion || manner(src[1]) > empty {
		return errSaved
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manner, s.told = manner(src[1]), photo{src[2] == 1, string(src[3:])}
	return nil
}
