// Package offline keeps messages for accounts that are not there to take them,
// XEP-0160: Best Practices for Handling Offline Messages, version 1.0.1, on the
// server's side. Hints of XEP-0334: Message Processing Hints, version 1.0.0, that
// concern it are obeyed.
//
// A message that no session takes, or that a session had and its client did not get
// when it ended, is stored with the work that delivers it. Where an archive holds it
// only the archive's name of it is stored. The first session that sends presence with
// a priority of 0 or more gets all that is stored, as it came and with the time at
// which it did, before anything newer; what its client has acknowledged, or without
// stream management what was written, is then removed. Should the server crash between
// the two the client gets the message again.
//
//	m, err := mux.New(host, nil, presences, offline.New(store, &offline.Options{
//		ReadsArchive: archives.Reads, Archived: archives.Messages,
//	}), archives, …)
//
// It belongs behind who deals with presence, so that a client sees its own first, and
// before an archive: what no session takes it is asked for first, and has the archive
// answer for what it has no room for.
//
// # Security
//
// What is stored for an account is bounded in number and octets. Beyond that senders
// are told that the message was not taken, as they are for accounts that do not exist.
package offline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// Feature is the feature of a server that stores messages (XEP-0160 §4).
const Feature = "msgoffline"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxMessages and MaxBytes bound what is stored for an account; 0 or less for
	// 1000 and 10 MiB (core-im LIM-16).
	MaxMessages, MaxBytes int
	// ReadsArchive reports whether the client of a session reads the account's
	// archive: then it gets only what is not in there (XEP-0313 §6.1.1). It is called
	// in the account's turn and must not wait. nil means that none does.
	ReadsArchive func(s *mux.Session) bool
	// Archived reads messages from the archive of an account, by what the archive
	// calls them; those that are not there any more are left out. It may wait. nil
	// stores all messages whole, also those in an archive.
	Archived func(ctx context.Context, account mux.Address, ids []string) (map[string]mux.Item, error)
	// Logger is for failures (Error); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
)

// Extension stores messages. Make one with New; it belongs to one mux.
type Extension struct {
	store Store
	opt   Options
	m     atomic.Pointer[mux.Mux]
	state mux.Key[state]
	usage usages

	mu    sync.Mutex // guards what follows
	boxes map[mux.Address]*box
}

// state is what is remembered of a session. It is touched in its account's turns.
type state struct {
	reachable bool // has sent presence with a priority of 0 or more
	// knows says that all that is stored by a name was archived before the session's
	// client asked the archive, if it did. Nothing of that is known after a restart.
	knows bool
}

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store, boxes: make(map[mux.Address]*box)}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxMessages <= 0 {
		x.opt.MaxMessages = 1000
	}
	if x.opt.MaxBytes <= 0 {
		x.opt.MaxBytes = 10 << 20
	}
	if x.opt.ReadsArchive == nil {
		x.opt.ReadsArchive = func(*mux.Session) bool { return false }
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "offline" }

var errNoStore = errors.New("no store")

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.state = mux.Slot[state](r)
	r.Undelivered(mux.Message, x.undelivered, mux.BlocksIf(x.waits))
	r.Leftover(mux.Message, x.leftover)
	r.Observe(mux.FromPeer, mux.Presence, x.presence)
	r.Lifecycle(mux.Lifecycle{Bound: x.begun, Attached: x.attached, Closed: x.closed})
	r.Restored(x.restored)
	r.Inline(mux.Inline{At: mux.InBind, Offer: nothing, Step: x.bound})
	mux.On(r, x.stateLost)
	mux.On(r, x.accountRemoved)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(Feature)
		return nil
	})
	return nil
}

// Start implements [mux.Starter].
func (x *Extension) Start(_ context.Context, m *mux.Mux) error {
	x.m.Store(m)
	return nil
}

// leftover is told of what a session had that has ended, before an archive is that
// answers for it.
func (x *Extension) leftover(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Item.Flags&mux.Offline == 0 {
		return mux.Pass, nil
	}
	x.back(e) // it is stored still
	return mux.Done, nil
}

// undelivered stores what nobody took (core-im DL-36, COMB-8).
func (x *Extension) undelivered(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Item.Flags&(mux.Copy|mux.ArchiveResult|mux.Offline) != 0 || !storable(e.Stanza) {
		return mux.Pass, nil
	}
	m := x.message(e)
	if !x.room(ctx, e, &m) {
		return mux.Pass, nil
	}
	e.Work.Write(x.store.Add(e.Account, m))
	if m.ID != "" {
		for _, s := range e.Sessions() {
			if x.opt.ReadsArchive(s) { // it has asked, and is not there yet
				x.state.Of(s).knows = false
			}
		}
	}
	return mux.Done, nil
}

// begun is told of a session that has been bound.
func (x *Extension) begun(_ context.Context, e *mux.Event) { x.state.Of(e.Session).knows = true }

// message is the message of the event as it is stored.
func (x *Extension) message(e *mux.Event) Message {
	m := Message{At: e.Item.At}
	if m.At.IsZero() {
		m.At = now()
	}
	if x.opt.Archived != nil {
		if m.ID = e.Item.Record.Archived(e.Account); m.ID != "" {
			return m
		}
	}
	it := *e.Item
	it.Stanza, it.At, it.Flags = e.Stanza, m.At, it.Flags&^mux.Replay
	m.Item = it.AppendSaved(nil)
	return m
}

// room reports whether a message is within the limits, and counts it. Where what is
// stored is not known and cannot be asked, at the end of a session, it is: there was
// room for it in the session.
func (x *Extension) room(ctx context.Context, e *mux.Event, m *Message) bool {
	u, known := x.usage.get(e.Account)
	if !known {
		if e.Session != nil {
			account := e.Account
			e.Work.After(func(error) { x.usage.forget(account) }) // whoever counts meanwhile misses it
			return true
		}
		var err error
		if u, err = x.store.Usage(ctx, e.Account); err != nil {
			x.failed(ctx, e.Account, "offline messages cannot be counted", err)
			return false
		}
	}
	if u.Messages >= x.opt.MaxMessages || u.Bytes+m.size() > x.opt.MaxBytes {
		x.usage.set(e.Account, u)
		return false
	}
	x.usage.set(e.Account, Usage{u.Messages + 1, u.Bytes + m.size()})
	return true
}

// waits reports whether what arrives may have to be stored and it is not known how
// much there is.
func (x *Extension) waits(e *mux.Event) bool {
	if t := e.Stanza.Type(); t == "groupchat" || t == "headline" || t == "error" {
		return false
	}
	for _, s := range e.Sessions() {
		if p := s.Presence(); p != nil && p.Available && p.Priority >= 0 {
			return false
		}
	}
	_, known := x.usage.get(e.Account)
	return !known
}

func (x *Extension) failed(ctx context.Context, account mux.Address, what string, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, what, slog.String("account", account.String()), slog.Any("err", err))
}

// nothing is what is offered: the member needs no element.
func nothing(context.Context, *mux.Stream) xmlstream.Marshaler { return nil }

// bound clears what the client of a session that binds by Bind 2 finds in the archive
// (XEP-0386 §3.2).
func (x *Extension) bound(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
	x.clear(e.Event)
	return nil, nil
}

// clear removes what is in the archive.
func (x *Extension) clear(e *mux.Event) {
	if u, known := x.usage.get(e.Account); x.opt.Archived == nil || known && u.Messages == 0 {
		return
	}
	e.Work.Write(x.store.Remove(e.Account, Removal{References: true}))
	x.usage.forget(e.Account)
}

// stateLost forgets what may not have been written.
func (x *Extension) stateLost(_ context.Context, e *mux.Event, _ mux.StateLost) error {
	x.usage.forget(e.Account)
	return nil
}

// accountRemoved removes what is stored for an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.Remove(e.Account, Removal{All: true}))
	x.usage.forget(e.Account)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.boxes, e.Account)
	return nil
}
