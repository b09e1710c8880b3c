package negotiate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// Options refine a Negotiator. The zero value of each field is its default.
type Options struct {
	// Domains lists the served domains, prepared, for clients that name none:
	// they get the only one, and are refused if there are several (core-im LC-3).
	// Nil refuses them always. Which domains are served is [mux.Host.Local]'s to
	// say.
	Domains func() []string
	// SASL authenticates; nil offers no SASL, as where a feature does it all. For a
	// feature whose mechanisms bind the channel take a [ChannelBinder] that lists no
	// mechanisms of its own: peers must be told of the types (XEP-0440 §2).
	SASL SASL
	// Timeout bounds the whole negotiation, 0 for 60 s (core-im LC-20); negative
	// is no bound. [mux.Feature.Deadline] extends it.
	Timeout time.Duration
	// TLSTimeout bounds a TLS handshake, 0 for 30 s (core-im LC-21).
	TLSTimeout time.Duration
	// MaxFailures is how many attempts to authenticate may fail before the stream
	// ends with policy-violation, 0 for 3; at least 2 and at most 5 (RFC 6120
	// §6.4.5).
	MaxFailures int
	// OnFailure is told of each failed attempt, on the goroutine that negotiates,
	// and returns how long to wait before the peer is told (core-im LIM-11). If the
	// time for negotiation ends before, the peer is not told. Nil does not wait.
	OnFailure func(ctx context.Context, st *mux.Stream, f AuthFailure) time.Duration
	// OnSuccess does the same before a peer is told that it has proved to be account,
	// once for each login (auth-register AB-2).
	OnSuccess func(ctx context.Context, st *mux.Stream, account mux.Address) time.Duration
	// KeepOld refuses a resource that is in use with conflict; the default ends
	// the session that has it (core-im LC-12).
	KeepOld bool
	// PreAuth and PostAuth are the limits that are announced (XEP-0478) before and
	// after authentication; enforcing them is the transport's affair. 0 announces
	// 32 KiB before, 256 KiB and 300 s after; negative announces nothing.
	PreAuth, PostAuth Limits
	// Lang is the language of the stream headers, empty for en.
	Lang string
	// Logger is for protocol steps (Debug), misbehaving peers (Warn) and failures
	// (Error); nil discards.
	Logger *slog.Logger
}

// Limits are announced to the peer (XEP-0478 §3).
type Limits struct {
	MaxBytes int           // octets of a first-level element
	Idle     time.Duration // without anything from the peer
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Timeout == 0 {
		d.Timeout = 60 * time.Second
	}
	if d.TLSTimeout <= 0 {
		d.TLSTimeout = 30 * time.Second
	}
	if d.MaxFailures == 0 {
		d.MaxFailures = 3
	}
	d.MaxFailures = min(max(d.MaxFailures, 2), 5)
	if d.PreAuth.MaxBytes == 0 {
		d.PreAuth.MaxBytes = 32 << 10
	}
	if d.PostAuth.MaxBytes == 0 {
		d.PostAuth.MaxBytes = 256 << 10
	}
	if d.PostAuth.Idle == 0 {
		d.PostAuth.Idle = 300 * time.Second
	}
	if d.Lang == "" {
		d.Lang = "en"
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// Negotiator negotiates the streams of one mux. It is safe for concurrent use.
type Negotiator struct {
	m     *mux.Mux
	opt   Options
	log   *slog.Logger
	bound atomic.Pointer[written] // features, see boundFeatures
}

// New makes a negotiator for the streams of m. o may be nil and is copied.
func New(m *mux.Mux, o *Options) *Negotiator {
	n := &Negotiator{m: m, opt: o.withDefaults()}
	n.log = n.opt.Logger
	return n
}

// maxElements bounds what a peer may send before it has a session: each is
// answered, so they must not go on for as long as a form may stay open.
const maxElements = 200

// Serve negotiates the stream, of which nothing was read yet: afterwards, with a
// nil error, a session is attached, a new one or one that was resumed, and the
// caller goes on to read elements from t and give them to st.Receive. It runs on
// the connection's reading goroutine and waits for the peer, at most for
// [Options.Timeout].
//
// With an error the stream was closed (st.Close), with the stream error that
// [StreamError] names if there is one, the response header before it if there
// was none yet (RFC 6120 §4.9.1.2); the caller drops the connection in its own
// way. The error wraps io.EOF if the peer has closed its stream properly.
func (n *Negotiator) Serve(ctx context.Context, st *mux.Stream, t Transport) error {
	if st.Role() != mux.Client {
		return fmt.Errorf("negotiate: streams of a %s are not negotiated here", st.Role())
	}
	r := &run{n: n, st: st, t: t, base: ctx}
	if n.opt.Timeout > 0 {
		r.deadline(n.opt.Timeout)
	} else {
		r.ctx, r.end = context.WithCancel(ctx)
	}
	defer r.cancel()
	err := r.contained(r.serve)
	if err == nil {
		return nil
	}
	r.fail(err)
	return fmt.Errorf("negotiate: %w", err)
}

// run is the negotiation of one stream.
type run struct {
	n     *Negotiator
	st    *mux.Stream
	t     Transport
	base  context.Context
	ctx   context.Context // base with the deadline
	limit *until          // the deadline, nil for none
	end   func()          // of ctx without a deadline

	content string       // namespace of our header, empty for that of clients
	opened  bool         // our header was written in this stream
	going   stepFunc     // takes the next element, see mux.Outcome.Next
	owning  *mux.Feature // whose that is
	outcome mux.Outcome  // of the last step
	domain  mux.Address
	auth    auth

	elements   int
	extensions int // of the deadline
}

// deadline gives the peer d from now on.
func (r *run) deadline(d time.Duration) {
	r.cancel()
	r.limit = withTimeout(r.base, d)
	r.ctx = r.limit
}

// cancel ends what r.ctx is for.
func (r *run) cancel() {
	if r.limit != nil {
		r.limit.cancel()
	}
	if r.end != nil {
		r.end()
	}
}

// next says how it goes on after an element.
type next uint8

const (
	goOn    next = iota // with the next element
	offer               // the states have changed: features are sent again
	restart             // both sides start a new stream
	ready               // a session is attached
)

// contained has a panic of whoever takes part cost this stream only.
func (r *run) contained(serve func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.n.log.LogAttrs(r.base, slog.LevelError, "negotiation panicked",
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			err = stream.InternalServerError
		}
	}()
	return serve()
}

func (r *run) serve() error {
	if cs := r.t.TLS(); cs != nil {
		r.secured(cs)
	} else if r.t.Trusted() {
		r.st.SetState(mux.Secure)
	}
	for {
		if err := r.open(); err != nil {
			return err
		}
		then := offer
		for then != restart {
			if then == offer {
				if err := r.offer(); err != nil {
					return err
				}
			}
			el, err := r.read()
			if err != nil {
				return err
			}
			if r.elements++; r.elements > maxElements {
				return stream.PolicyViolation
			}
			if then, err = r.element(el); err != nil {
				return err
			}
			if then == ready {
				r.st.Negotiated()
				return r.t.Flush()
			}
		}
		r.t.Restart()
		r.opened = false
	}
}

// read waits for the next element, inside an exchange of SASL or of a feature not
// for long: it keeps a copy of credentials (auth-register SC-22).
func (r *run) read() (*mux.Stanza, error) {
	if r.auth.ex == nil && r.going == nil {
		return r.t.ReadElement(r.ctx)
	}
	pause := withTimeout(r.ctx, maxSASLPause)
	defer pause.cancel()
	return r.t.ReadElement(pause)
}

// errPeer: the peer has sent a stream error, to which there is no answer.
var errPeer = errors.New("stream error from the peer")

// errRefused: the stream ends properly because its last element said why.
var errRefused = errors.New("refused")

// fail tells the peer why the stream ends.
func (r *run) fail(err error) {
	se, told := StreamError(err)
	switch {
	case told:
		if !r.opened {
			// RFC 6120 §4.9.1.2
			if r.header(mux.Address{}, r.anyDomain()) != nil {
				return
			}
		}
		r.n.log.LogAttrs(r.base, slog.LevelDebug, "negotiation failed", slog.String("account", r.st.Account().String()), slog.Any("err", err))
		if r.t.Flush() == nil {
			r.st.Close(se)
		}
	case errors.Is(err, io.EOF), errors.Is(err, errPeer), errors.Is(err, errRefused):
		if r.t.Flush() == nil {
			r.st.Close(nil)
		}
	}
	// A broken connection is the caller's to drop.
}
