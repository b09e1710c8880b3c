package offline

import (
	"context"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// presence is told of what a session says of itself: the first presence with a
// priority of 0 or more is when it gets what is stored (XEP-0160 §2).
func (x *Extension) presence(_ context.Context, e *mux.Event) {
	s := e.Stanza
	if e.Session == nil || !s.To().IsZero() || s.Type() != "" && s.Type() != "unavailable" {
		return
	}
	st := x.state.Of(e.Session)
	was := st.reachable
	st.reachable = reachable(e.Session)
	switch {
	case st.reachable && !was:
		x.flush(e, e.Session)
	case was && !st.reachable:
		if b := x.known(e.Account); b != nil && b.stop(e.Session) {
			x.further(e)
		}
	}
}

// reachable reports whether a session gets messages for its account.
func reachable(s *mux.Session) bool {
	p := s.Presence()
	return p != nil && p.Available && p.Priority >= 0
}

// attached is told of a session that has a stream (again): what was on the way to it
// when the server stopped is sent on.
func (x *Extension) attached(s *mux.Session) {
	if !reachable(s) {
		return
	}
	s.Mux().Go(s.Account(), func(_ context.Context, e *mux.Event) { x.flush(e, s) })
}

// closed is told of the end of a session: another one gets what that did not.
func (x *Extension) closed(_ context.Context, e *mux.Event) {
	b := x.known(e.Account)
	if b == nil {
		return
	}
	if b.closed(e.Session) {
		x.further(e)
	}
	x.tidy(e.Account)
}

// further has another session get what is stored, if one is there.
func (x *Extension) further(e *mux.Event) {
	var best *mux.Session
	for _, s := range e.Sessions() {
		if reachable(s) && s.Stream() != nil && (best == nil || s.Presence().Priority > best.Presence().Priority) {
			best = s
		}
	}
	if best != nil {
		x.flush(e, best)
	}
}

// flush sends a session what is stored, behind all that is written for it and before
// anything that arrives from this turn on. What its client has found in the archive is
// cleared, unless there may be something newer: then it gets all, and tells by the
// archive's names what it has.
func (x *Extension) flush(e *mux.Event, s *mux.Session) {
	if s.State() >= mux.Closing {
		return // it was attached, and is not any more
	}
	if u, known := x.usage.get(e.Account); known && u.Messages == 0 {
		return
	}
	if st := x.state.Of(s); x.opt.ReadsArchive(s) && st.knows {
		x.clear(e) // core-im COMB-5
	} else {
		st.knows = true // when it has been sent what is there
	}
	x.m.Store(e.Mux())
	f := &flush{x: x, s: s, account: e.Account, written: make(chan struct{})}
	begun := false
	x.withBox(e.Account, func(b *box) {
		f.b = b
		begun = b.begin(f)
	})
	e.Work.Write(func(context.Context, mux.Tx) error { return nil }) // behind those of earlier turns
	e.Work.After(func(error) { close(f.written) })                   // what was not written is not stored
	if begun {
		s.Feed(f.next)
	}
}

// flush is what is being sent to one session. It belongs to the feed.
type flush struct {
	x       *Extension
	b       *box
	s       *mux.Session
	account mux.Address
	written chan struct{} // closed when what was stored before is written, or is not
	again   *flush        // what was asked for meanwhile; guarded by the box

	after Message
	more  bool        // there are messages behind it
	list  []Message   // those up to it that were not sent yet
	items []*mux.Item // the first of those, nil for what is gone
}

// At a time.
const (
	pageMessages = 50
	pageItems    = 8 // with what they say, which may be long
	pageBytes    = 64 << 10
)

// next implements [mux.FeedFunc].
func (f *flush) next(ctx context.Context, emit func(mux.Item)) (more bool, err error) {
	defer func() {
		if !more {
			if f.b.end(f) { // it failed
				f.s.Mux().Go(f.account, func(_ context.Context, e *mux.Event) { f.x.further(e) })
			}
			f.x.tidy(f.account)
		}
	}()
	if len(f.list) == 0 {
		if on, err := f.page(ctx); !on {
			return false, err
		}
	}
	for size := 0; len(f.list) > 0 && size < pageBytes; {
		if len(f.items) == 0 {
			if f.items, err = f.read(ctx, f.list[:min(len(f.list), pageItems)]); err != nil {
				return false, err
			}
		}
		if it := f.items[0]; it != nil {
			size += it.Stanza.Size()
		}
		f.send(emit, &f.list[0], f.items[0])
		f.list, f.items = f.list[1:], f.items[1:]
	}
	if len(f.list) > 0 || f.more {
		return true, nil
	}
	again := f.b.next(f)
	if again == nil {
		return false, nil
	}
	f.written, f.after, f.more = again.written, Message{}, false
	return true, nil
}

// page reads which messages are next; false if the session is to get no more.
func (f *flush) page(ctx context.Context) (bool, error) {
	select {
	case <-f.written:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !f.b.goesOn(f) {
		return false, nil // the session has ended, or its client does not want any more
	}
	list, more, err := f.x.store.Load(ctx, f.account, f.after, pageMessages, pageBytes)
	if err != nil {
		return false, err
	}
	if len(list) > 0 {
		f.after = list[len(list)-1]
		f.after.Item = nil
	}
	f.list, f.items, f.more = list, nil, more
	return true, nil
}

// read makes items of messages, nil for what is gone.
func (f *flush) read(ctx context.Context, list []Message) ([]*mux.Item, error) {
	items := make([]*mux.Item, len(list))
	var ids []string
	for i := range list {
		if list[i].ID != "" {
			ids = append(ids, list[i].ID)
			continue
		}
		it, err := f.s.Mux().RestoreItem(list[i].Item)
		if err != nil {
			f.x.failed(ctx, f.account, "offline message cannot be read", err)
			continue
		}
		it.Record.Lost() // nobody holds it yet
		items[i] = &it
	}
	if len(ids) == 0 || f.x.opt.Archived == nil {
		return items, nil
	}
	archived, err := f.x.opt.Archived(ctx, f.account, ids)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if it, ok := archived[list[i].ID]; ok && list[i].ID != "" {
			items[i] = &it
		}
	}
	return items, nil
}

// send gives the session one message, unless a session has it already.
func (f *flush) send(emit func(mux.Item), m *Message, it *mux.Item) {
	if !f.b.take(f, m) {
		return
	}
	if it == nil { // removed from the archive, or unreadable
		f.x.arrived(f.account, f.b, m.Seq)
		return
	}
	it.Flags |= mux.Offline
	if it.At.IsZero() {
		it.At = m.At
	}
	if it.Record == nil {
		it.Record = new(mux.Record)
	}
	if m.ID != "" {
		it.Record.SetArchived(f.account, m.ID)
	}
	it.Record.SetStored(strconv.FormatInt(m.Seq, 10))
	seq := m.Seq
	it.Record.OnArrived(func() { f.x.arrived(f.account, f.b, seq) })
	if !strings.Contains(string(it.Extra), "urn:xmpp:delay") { // what has waited before says so
		it.Extra = mux.AppendDelay(it.Extra, f.account.Domain(), it.At)
	}
	emit(*it)
}

// back is told that a session has ended before its client had a message that was
// stored.
func (x *Extension) back(e *mux.Event) {
	seq, err := strconv.ParseInt(e.Item.Record.Stored(), 10, 64)
	if b := x.known(e.Account); b != nil && err == nil {
		b.back(seq, e.Session)
	}
}

// restored is told of what a session had when the server stopped.
func (x *Extension) restored(it *mux.Item) {
	if it.Flags&mux.Offline == 0 {
		return
	}
	seq, err := strconv.ParseInt(it.Record.Stored(), 10, 64)
	if err != nil {
		return
	}
	account := it.Recipient().Bare()
	x.withBox(account, func(b *box) {
		b.was(seq)
		it.Record.OnArrived(func() { x.arrived(account, b, seq) })
	})
}
