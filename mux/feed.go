package mux

import (
	"context"
	"log/slog"
)

// FeedFunc gives the next part of something long: it calls emit for a page of
// items and reports whether there is more. It may wait for a store.
type FeedFunc func(ctx context.Context, emit func(Item)) (more bool, err error)

// feed is one bulk transfer of a session.
type feed struct {
	next    FeedFunc
	stored  bool   // it has stored messages, which come again if they are not acknowledged
	answers *Later // whom it answers, if anybody
	waiting []Item // live stanzas that came meanwhile
	bytes   int
}

// behindFeeds keeps an item until all feeds that there are have ended; the lock is
// held. What is refused no sink has seen.
func (s *Session) behindFeeds(it *Item) error {
	size := it.size()
	for _, f := range s.feeds {
		size += f.bytes
	}
	if size > s.m.opt.MaxQueue {
		return ErrOverflow
	}
	for _, k := range s.sinks {
		if k, ok := k.(Waiter); ok {
			k.Wait(it)
		}
	}
	last := s.feeds[len(s.feeds)-1]
	last.waiting = append(last.waiting, *it)
	last.bytes += it.size()
	return nil
}

// lowWater is how much may be waiting to be written when a feed is asked for
// more, in octets.
const lowWater = 64 << 10

// Feed sends something long (archive pages, offline messages), pulled as the
// peer reads: next is called, on a goroutine of its own, whenever little is
// waiting and no sink is a [Pauser] that has enough. What else is put into the
// session meanwhile waits until the feed has ended, so that order is kept. Feeds of
// a session run one after another. A session without a stream is fed on when it has
// one again; one that ends drops its feeds. An error ends the feed and is logged.
// Behind stored messages an [Asker] asks at once whether they have arrived.
func (s *Session) Feed(next FeedFunc) { s.feed(&feed{next: next}) }

func (s *Session) feed(f *feed) {
	s.mu.Lock()
	if !s.open() {
		s.mu.Unlock()
		return
	}
	s.feeds = append(s.feeds, f)
	first := !s.feeding
	s.feeding = true
	if s.low.Load() == nil {
		low := make(chan struct{}, 1)
		s.low.Store(&low)
	}
	s.mu.Unlock()
	if first {
		s.m.goes.Add(1)
		go s.runFeeds()
	}
}

// Feed has s fed with what next gives, the answer itself being the last item of
// that: so it comes behind all that it speaks of, and behind what was fed before
// (XEP-0313 §4). It is as late as the peer is slow: no other answer is given, and
// what the request takes of its stream's credit is free when the feed has ended.
// next is called first when all that the request's turn has written is durable. It
// must be called in that turn.
func (l *Later) Feed(s *Session, next FeedFunc) {
	l.timer.Stop()
	if l.done.Swap(true) {
		return
	}
	s.feed(&feed{answers: l, next: func(ctx context.Context, emit func(Item)) (more bool, err error) {
		defer func() {
			if (!more || err != nil) && l.stream != nil {
				l.stream.promise(-1)
			}
		}()
		select {
		case <-l.ready:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if l.failed != nil {
			return false, nil // the stream has ended
		}
		return next(ctx, emit)
	}})
}

// broken is the answer of a feed that ends before its end.
func (l *Later) broken() Item {
	reply := ErrorReply(l.req, errInternal)
	reply.to = l.to
	if reply.from.IsZero() && reply.attrs == "" {
		reply.from = l.to.Bare()
	}
	return Item{Stanza: reply, Flags: Service}
}

func (s *Session) runFeeds() {
	defer s.m.goes.Done()
	for s.waitLow() {
		s.mu.Lock()
		if len(s.feeds) == 0 { // the session has ended
			s.mu.Unlock()
			continue
		}
		f := s.feeds[0]
		s.mu.Unlock()
		var more bool
		var stored []Item
		emit := func(it Item) {
			f.stored = f.stored || it.Flags&Offline != 0
			if it.Flags&Offline == 0 || s.m.committer == nil {
				s.emit(it)
				return
			}
			stored = append(stored, it)
		}
		err := errPanic
		s.m.protect(func() { more, err = f.next(s.m.ctx, emit) })
		s.emitStored(stored)
		if err != nil {
			s.m.log.LogAttrs(s.m.ctx, slog.LevelError, "feed failed", slog.String("account", s.Account().String()), slog.Any("err", err))
		}
		if !more || err != nil {
			s.endFeed()
			if f.stored {
				s.Ask()
			}
		}
		s.Sync(func() {}) // which looks whether that was too much, and writes
	}
}

// emitStored puts stored messages into the chain: in a turn if their session is
// tracked, so that its sinks can keep durably under which number they are sent before
// they are. Otherwise a server that is killed then would not know, and send a client
// that resumes again what it has.
func (s *Session) emitStored(items []Item) {
	if len(items) == 0 {
		return
	}
	tracked := false
	s.locked(func() { tracked = s.tracked })
	if !tracked {
		for _, it := range items {
			s.emit(it)
		}
		return
	}
	_ = s.m.Do(s.m.ctx, s.acct.addr, func(_ context.Context, e *Event) { // a failed commit was dealt with
		e.Work.touch(s)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.open() {
			return
		}
		for i := range items {
			items[i].Work, items[i].gen = nil, 0
			items[i].Record.Hold()
		}
		if rest := s.putIn(e.Work, items); len(rest) > 0 {
			for i := range rest {
				rest[i].Record.Lost()
			}
		}
	})
}

// emit puts an item of a feed into the chain.
func (s *Session) emit(it Item) {
	it.Work, it.gen = nil, 0
	var err error
	s.locked(func() {
		if s.open() {
			it.Record.Hold()
			err = s.out.Put(&it)
		}
	})
	if err != nil {
		it.Record.Lost()
		if st := s.Stream(); st != nil {
			st.Close(errPolicy)
		}
	}
}

// endFeed lets what waited behind the first feed go: in a turn, so that sinks can
// keep durably what they make of it, before it is sent.
func (s *Session) endFeed() {
	waits := false
	s.locked(func() {
		if len(s.feeds) > 0 && len(s.feeds[0].waiting) > 0 {
			waits = true
			return
		}
		s.dropFeed()
	})
	if waits {
		_ = s.m.Do(s.m.ctx, s.acct.addr, func(_ context.Context, e *Event) { s.passWaiting(e.Work) }) // a failed commit was dealt with
	}
}

// dropFeed takes the first feed out, and returns what waited behind it; the lock is
// held.
func (s *Session) dropFeed() (waiting []Item) {
	if len(s.feeds) == 0 {
		return nil
	}
	waiting = s.feeds[0].waiting
	s.feeds[0] = nil
	if s.feeds = s.feeds[1:]; len(s.feeds) == 0 {
		s.feeds = nil
	}
	return waiting
}

func (s *Session) passWaiting(w *Work) {
	if s.m.committer == nil {
		w = nil
	} else {
		w.touch(s)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, s.putIn(w, s.dropFeed())...)
}

// putIn puts items into the chain as part of a Work, and returns those that were too
// much; the lock is held.
func (s *Session) putIn(w *Work, items []Item) (rest []Item) {
	s.putting = w
	defer func() { s.putting = nil }()
	for i := range items {
		it := &items[i]
		it.also, it.alsoGen = w, w.generation()
		if err := s.out.Put(it); err != nil {
			if st := s.stream.Load(); st != nil {
				s.m.Go(s.acct.addr, func(context.Context, *Event) { st.Close(errPolicy) })
			}
			return items[i:]
		}
	}
	return nil
}

// settle hands the sinks, which are saved, all that is queued elsewhere; the lock
// is held. Feeds end: their sources are asked again by those who come back, and
// requests that they answer fail.
func (s *Session) settle() {
	if !s.tracked {
		return
	}
	s.dropQueue()
	waiting := s.left
	s.left = nil
	for _, f := range s.feeds {
		if f.answers != nil {
			waiting = append(waiting, f.answers.broken())
		}
		waiting = append(waiting, f.waiting...)
	}
	s.feeds = nil
	for i := range waiting {
		s.logPut(s.out.Put(&waiting[i]))
	}
}

// waitLow waits until little is waiting to be written; false when the session
// has ended.
func (s *Session) waitLow() bool {
	for {
		s.mu.Lock()
		if len(s.feeds) == 0 || s.m.ctx.Err() != nil {
			s.feeding = false
			s.mu.Unlock()
			return false
		}
		st := s.stream.Load()
		ready := st != nil && s.q.bytes+st.conn.Pending() < lowWater && !s.paused()
		ended := s.ended()
		s.mu.Unlock()
		if ready {
			return true
		}
		select {
		case <-*s.low.Load():
		case <-ended:
			return false
		case <-s.m.ctx.Done():
			return false
		}
	}
}

// paused reports whether a sink wants feeds to wait; the lock is held.
func (s *Session) paused() bool {
	for _, k := range s.sinks {
		if k, ok := k.(Pauser); ok && k.Pause() {
			return true
		}
	}
	return false
}

// signalLow wakes a feed that waits.
func (s *Session) signalLow() {
	low := s.low.Load()
	if low == nil {
		return
	}
	select {
	case *low <- struct{}{}:
	default:
	}
}
