// Package smacks keeps what a client was sent until the client says that it has
// it, and lets a client whose connection broke go on where it was, XEP-0198: Stream
// Management, version 1.6.3.
//
//	m, err := mux.New(host, &mux.Options{Committer: db, Sessions: db.Sessions()},
//		smacks.New(db.StreamManagement(), nil), …)
//
// A session for which the client has enabled resumption outlives its connections,
// and with a [Store] the process as well: after a restart, and after a crash, it
// can be resumed. What the client has not acknowledged when the session ends for
// good goes the way of messages that nobody took: to another session, to an archive
// or offline store, or back to the sender, once.
//
// # What a crash may lose
//
// Nothing that was acknowledged to its sender. What is sent in the course of a
// stanza's work is in the store before it is on the wire, with its number; so a
// session that is resumed after a crash misses nothing of it and gets nothing
// twice. What is pulled by [mux.Session.Feed], such as results from an archive, or
// put by a timer leaves no trace: of that what had been sent and not arrived is not
// sent again. Acknowledgements of clients become durable with the next stanza, or
// after [Options.NoteWithin]; what was acknowledged after that and before a crash
// comes again to a client that does not resume, with the same stanza-id.
//
// Without a [mux.Committer] nothing is written until a session is saved, by a shutdown
// that is in order: what stays in memory does not survive a crash anyway.
//
// Requests that are answered later than at once may never be, if a crash comes in
// between and the client has sent something else behind them.
//
// Give the extension to mux.New before those that refuse stanzas, so that what
// these refuse is noted as handled as well.
//
// # Clients
//
// [Client] is the other side, for programs that use mellium.im/xmpp: one session of
// mellium over many connections. Requests that wait for an answer when a process
// ends do not survive it: in the next one the handler gets their answers.
//
// # Servers
//
// Between servers there are acknowledgements and no resumption. The extension counts
// what comes on streams of role Server, and tells their peers how much of it is finished
// and committed. [Outgoing] is for the streams the other way, on the kernel or on plain
// sessions of mellium: it keeps what was sent until it is acknowledged. When a stream
// breaks, the rest goes back to its senders with remote-server-timeout, which some of it
// may have reached all the same; or it is sent once more, which some may get twice.
//
// # Security
//
// A session is resumed by a stream that has authenticated as its account and knows
// its token, of which only a hash is kept. Every other attempt is answered as if
// there was no such session (§10), and leaves no trace.
package smacks

import (
	"context"
	"encoding/xml"
	"log/slog"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of Stream Management.
const NS = "urn:xmpp:sm:3"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Window is how long a session waits for its client, 0 for 600 s (core-im
	// LC-25). A client may ask for less.
	Window time.Duration
	// MaxQueue and MaxBytes bound what a session keeps unacknowledged, 0 for 5000
	// stanzas and 4 MiB (core-im LIM-17). A session without a connection ends at
	// the bound; a client that is there is asked to acknowledge, and ends at twice
	// of it.
	MaxQueue, MaxBytes int
	// MaxWaiting bounds the sessions of an account that wait for their clients, 0
	// for 10. The one that has waited longest ends for the next.
	MaxWaiting int
	// MaxAllWaiting and MaxAllBytes bound the sessions of all accounts that wait, and
	// what is kept for them, 0 for 100000 and 1 GiB. What would be beyond that does
	// not wait: its session ends.
	MaxAllWaiting, MaxAllBytes int
	// AskAfter is after how many stanzas a client is asked to acknowledge, 0 for 10, or
	// four times as many while they come fast; AskWithin how long the last ones wait
	// for that, 0 for 10 s. The first stanza after so long is asked for at once.
	// AskSoon, 0 for 500 ms, holds in place of AskWithin for messages, eight times and
	// once more for each AskWithin: a client that leaves before it has acknowledged a
	// message would get it again.
	AskAfter  int
	AskWithin time.Duration
	AskSoon   time.Duration
	// Idle reports whether nobody looks at a session's client (XEP-0352), so that
	// being asked alone would wake it for nothing; then AskIdle, 0 for 60 s, holds in
	// place of AskWithin, and eight times AskAfter. It is called under the session's lock and must not wait. nil
	// is for never.
	Idle    func(s *mux.Session) bool
	AskIdle time.Duration
	// AckTimeout is how long a client may take to answer, 0 for 60 s. Then its
	// connection counts as broken.
	AckTimeout time.Duration
	// Notify is told, in turns of their accounts, what becomes of sessions whose
	// clients may have to be woken in other ways; OverdueAfter is when an
	// acknowledgement is overdue, 0 for 30 s. It may be nil, and must not wait.
	// Notices that follow each other at once may come in another order.
	Notify       func(ctx context.Context, e *mux.Event, n Notice)
	OverdueAfter time.Duration
	// NoteWithin is how long an acknowledgement may wait until it is written to the
	// store, 0 for 250 ms.
	NoteWithin time.Duration
	// Location is where clients should connect to resume: host, or host:port; empty
	// for wherever they did (XEP-0198 §5).
	Location string
	// Logger is for misbehaving peers (Warn) and failures (Error); nil discards.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	orElse(&d.Window, 600*time.Second)
	orElse(&d.MaxQueue, 5000)
	orElse(&d.MaxBytes, 4<<20)
	orElse(&d.MaxWaiting, 10)
	orElse(&d.MaxAllWaiting, 100_000)
	orElse(&d.MaxAllBytes, 1<<30)
	orElse(&d.OverdueAfter, 30*time.Second)
	orElse(&d.AskAfter, 10)
	orElse(&d.AskWithin, 10*time.Second)
	orElse(&d.AskSoon, 500*time.Millisecond)
	orElse(&d.AskIdle, 60*time.Second)
	orElse(&d.AckTimeout, 60*time.Second)
	orElse(&d.NoteWithin, 250*time.Millisecond)
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

func orElse[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
)

// Extension is Stream Management for the sessions of one mux. Make one with New.
type Extension struct {
	store Store
	opt   Options
	m     *mux.Mux // once it has started
	key   mux.Key[state]
	past  past
	// arrivals waits to be written
	arrivals arrivals
	waiting  waitingSessions
	stats    counters
}

// New makes the extension. Without a store, nil, sessions do not survive the
// process. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	return &Extension{store: store, opt: o.withDefaults()}
}

// Name implements [mux.Extension].
func (x *Extension) Name() string { return "smacks" }

// The elements of the protocol.
var (
	enableName  = xml.Name{Space: NS, Local: "enable"}
	resumeName  = xml.Name{Space: NS, Local: "resume"}
	ackName     = xml.Name{Space: NS, Local: "a"}
	requestName = xml.Name{Space: NS, Local: "r"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	x.key = mux.PersistentSlot(r, "smacks", mux.Codec[state]{Encode: encodeState, Decode: decodeState})
	r.Outbound(mux.Track, x.bind)
	r.Lifecycle(mux.Lifecycle{Attached: x.attached, Detached: x.detached, Parting: x.parting, Saving: x.saving, Closed: x.closed})
	r.Guard(mux.FromPeer, mux.AnyStanza, x.handles)
	mux.On(r, x.removed)
	r.Nonza(enableName, x.enable)
	r.Nonza(ackName, x.ack)
	r.Nonza(requestName, x.request)
	r.Nonza(resumeName, x.misplaced)
	r.Nonza(xml.Name{Space: NS}, x.unknown)
	// Before there is a session (XEP-0198 §3, §6): enabling is too early.
	r.Feature(mux.Feature{Name: "smacks", Needs: mux.Authenticated, Forbids: mux.Bound, List: offerUnless(mux.Server),
		Owns: []xml.Name{resumeName}, Step: x.resume})
	r.Feature(mux.Feature{Name: "smacks-early", Needs: mux.Secure, Forbids: mux.Authenticated, Owns: []xml.Name{enableName, resumeName, ackName, requestName}, Step: early})
	r.Feature(mux.Feature{Name: "smacks-unbound", Needs: mux.Authenticated, Forbids: mux.Bound, Owns: []xml.Name{enableName, ackName, requestName}, Step: early})
	// Servers need no session, just to be believed.
	r.Remote(NS, func(st *mux.Stream) mux.Remote { return &incoming{st: st} })
	r.Feature(mux.Feature{Name: "smacks-remote", Needs: mux.Authenticated | mux.Bound, List: offerUnless(mux.Client)})
	r.Inline(mux.Inline{Name: resumeName, At: mux.InAuthenticate, Offer: offer, Step: x.resumeInline})
	r.Inline(mux.Inline{Name: enableName, At: mux.InBind, Step: x.enableInline})
	return nil
}

// offerUnless advertises it to peers other than those.
func offerUnless(role mux.Role) func(context.Context, *mux.Stream) xmlstream.Marshaler {
	return func(ctx context.Context, st *mux.Stream) xmlstream.Marshaler {
		if st.Role() == role {
			return nil
		}
		return offer(ctx, st)
	}
}

// offer advertises resumption inside SASL2's authenticate (XEP-0198 §9).
func offer(context.Context, *mux.Stream) xmlstream.Marshaler {
	return mux.Raw("<sm xmlns='" + NS + "'/>")
}

// Start implements [mux.Starter]: it gives restored sessions what they had.
func (x *Extension) Start(ctx context.Context, m *mux.Mux) error {
	x.m = m
	if x.store == nil {
		x.endOthers(m, nil)
		return nil
	}
	return x.restore(ctx, m)
}
