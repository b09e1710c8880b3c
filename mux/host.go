package mux

import (
	"context"
	"log/slog"
	"time"
)

// Host is what lies outside the kernel; the embedder provides it. Its methods
// are called from turns, by many goroutines at a time.
type Host interface {
	// Local reports whether the domain is served here. It must not wait.
	Local(domain string) bool
	// Account reports whether the account of a served domain exists, if that is
	// known without waiting.
	Account(a Address) (exists, known bool)
	// LoadAccount is Account for one that is not known; it may wait. An error is
	// answered with internal-server-error (wait).
	LoadAccount(ctx context.Context, a Address) (exists bool, err error)
	// Route takes what is for another domain. It must not wait. An error that is
	// a [stanza.Error] is sent back; nil means that the stanza will be sent or
	// an error will come back by [Mux.Bounce].
	Route(ctx context.Context, it *Item) error
}

// Conn is one live connection, from the embedder.
type Conn interface {
	// Write takes whole elements. It must not wait nor retain p. An error means
	// that the connection is of no more use: broken, or its peer is too slow. It
	// is called by one goroutine at a time.
	Write(p []byte) error
	// Pending is how many octets Write took that have not gone to the network.
	Pending() int
	// Close ends the stream: a nil error properly, a [stream.Error] with that
	// error sent first, any other at once. It must not wait for the network, may
	// be called more than once and from any goroutine, and makes the embedder's
	// reader end.
	Close(err error)
}

// FramedConn is a Conn that wants elements one by one, each declaring its
// namespace (RFC 7395 §3.3.3).
type FramedConn interface {
	Conn
	// Framed marks the type.
	Framed()
}

// Options refine a mux. The zero value of each field is its default.
type Options struct {
	// Committer makes writes durable. Without one, writes are applied at once and
	// nothing waits for them.
	Committer Committer
	// Sessions keeps resumable sessions across restarts; nil for none.
	Sessions SessionStore
	// Logger is for protocol steps (Debug), misbehaving peers (Warn) and failures
	// (Error); nil discards.
	Logger *slog.Logger
	// Credit bounds what one stream may have in progress; 0 for 64 stanzas and
	// 512 KiB for a client, 1024 stanzas and 4 MiB for others (core-im LIM-23).
	Credit      int
	CreditBytes int
	// ReplyTimeout is how long a request may stay unanswered, by a peer of
	// [Mux.Query] or a handler that called [Event.Later]; 0 for 30 s.
	ReplyTimeout time.Duration
	// TakeOverTimeout bounds the wait for the old stream's work when a session is
	// taken over; 0 for 5 s.
	TakeOverTimeout time.Duration
	// MaxSessions bounds the sessions of an account, kept ones included; 0 for 20
	// (core-im LIM-12).
	MaxSessions int
	// MaxQueue bounds what a session may have waiting to be written, in octets; 0
	// for 4 MiB (core-im LIM-18). Above it the connection counts as dead.
	MaxQueue int
	// Wall is the clock on the wall, nil for [time.Now]: just for what is kept across
	// restarts. Everything else goes by the monotonic clock, whatever this one does.
	Wall func() time.Time
	// NoRecover lets a panic in a handler end the program, for tests.
	NoRecover bool
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	def := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	def(&d.MaxSessions, 20)
	def(&d.MaxQueue, 4<<20)
	if d.ReplyTimeout <= 0 {
		d.ReplyTimeout = 30 * time.Second
	}
	if d.TakeOverTimeout <= 0 {
		d.TakeOverTimeout = 5 * time.Second
	}
	if d.Wall == nil {
		d.Wall = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}
