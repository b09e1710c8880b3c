package mux

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
)

// Extension is one registered feature. Extensions may also have the methods of
// [Starter] and [Stopper].
type Extension interface {
	// Name identifies the extension in logs and in Describe.
	Name() string
	// Register tells the registry what the extension takes part in. It is called
	// once, by New.
	Register(r *Registry) error
}

// Starter is an extension that wants to know when the mux starts, after saved
// sessions were restored and before anything is accepted.
type Starter interface {
	Start(ctx context.Context, m *Mux) error
}

// Stopper is an extension that wants to know when the mux shuts down, after the
// last turn.
type Stopper interface {
	Shutdown(ctx context.Context) error
}

// Handler takes part in a turn. An error that is a [stanza.Error] or [*Error]
// refuses the stanza and is sent back (never for one of type error or result); a
// [stream.Error] ends the origin stream; any other is logged, and a request or message
// is answered with internal-server-error.
type Handler func(ctx context.Context, e *Event) (Verdict, error)

// Observer sees a stanza and cannot refuse or change it.
type Observer func(ctx context.Context, e *Event)

// IQFunc answers an IQ get or set: with the payload of the result (nil for an
// empty one), with an error as described at [Handler], or later, when it has
// called [Event.Later].
type IQFunc func(ctx context.Context, e *Event) (xmlstream.Marshaler, error)

// RegisterOption refines one registration.
type RegisterOption func(*entry)

// Blocks says that the handler may wait for a store or the network: the turn
// then runs on a goroutine of its own; it stays open, so that the account's next
// turns wait, and other accounts go on.
func Blocks() RegisterOption { return BlocksIf(func(*Event) bool { return true }) }

// BlocksIf is Blocks for handlers that wait only sometimes, such as for the
// first use of what is then cached. f is asked before the turn, must not wait,
// and sees Account, Session, Origin and Stanza as they are then.
func BlocksIf(f func(e *Event) bool) RegisterOption {
	return func(x *entry) { x.blocks = f }
}

// Unknown has a guard or modifier at [ToAccount] asked for accounts that do not
// exist too, with e.Unknown, so that the answer need not differ. Elsewhere it says
// nothing.
func Unknown() RegisterOption { return func(x *entry) { x.unknown = true } }

// entry is one registered function with its owner.
type entry struct {
	ext     string
	blocks  func(*Event) bool
	unknown bool // see Unknown
	h       Handler
	o       Observer
	iq      IQFunc
}

// Registry collects what extensions register. It is usable only during
// [Extension.Register].
type Registry struct {
	m   *Mux
	ext string
	err []error
}

func (r *Registry) fail(format string, a ...any) {
	r.err = append(r.err, fmt.Errorf("mux: "+r.ext+": "+format, a...))
}

func (r *Registry) entry(o []RegisterOption) entry {
	x := entry{ext: r.ext}
	for _, f := range o {
		f(&x)
	}
	return x
}

var errNilHandler = errors.New("nil handler")

// Guard registers a handler that may refuse what passes a point. All guards of a
// point run before its modifiers.
func (r *Registry) Guard(p Point, k Kind, h Handler, o ...RegisterOption) {
	r.handler(&r.m.guards, p, k, h, o)
}

// Modify registers a handler that may set e.Stanza to a new value.
func (r *Registry) Modify(p Point, k Kind, h Handler, o ...RegisterOption) {
	r.handler(&r.m.modifiers, p, k, h, o)
}

func (r *Registry) handler(t *table, p Point, k Kind, h Handler, o []RegisterOption) {
	if h == nil || p >= points {
		r.fail("%s: %w", p, errNilHandler)
		return
	}
	x := r.entry(o)
	x.h = h
	t.add(p, k, x)
}

// Observe registers an observer. At FromPeer and FromAccount it runs when the
// stanza has passed guards and modifiers and before it goes on; at ToAccount
// after delivery, with Targets.
func (r *Registry) Observe(p Point, k Kind, f Observer, o ...RegisterOption) {
	if f == nil || p >= points {
		r.fail("%s: %w", p, errNilHandler)
		return
	}
	x := r.entry(o)
	x.o = f
	r.m.observers.add(p, k, x)
}

// Undelivered registers a handler for what no session took: [Done] means that it
// will be kept or was dealt with. Handlers are asked in order; if none takes the
// stanza it is bounced or dropped by RFC 6121 §8. The item of e tells what is
// known of it. It runs in the recipient account's turn, also at the end of a
// session for what that session had and its peer did not get; e.Session is then
// that session, else nil.
func (r *Registry) Undelivered(k Kind, h Handler, o ...RegisterOption) {
	if h == nil {
		r.fail("Undelivered: %w", errNilHandler)
		return
	}
	x := r.entry(o)
	x.h = h
	for i, b := range kinds {
		if k&b != 0 {
			r.m.undelivered[i] = append(r.m.undelivered[i], x)
		}
	}
}

// Leftover registers a handler for what a session had and its peer did not get
// when it has ended, before anything else is done about it: [Done] means that
// nothing has to be, such as for what the peer will find in its archive (core-im
// COMB-8). e.Session is the session, e.Item tells what is known. It runs in the
// account's turn and must not wait.
func (r *Registry) Leftover(k Kind, h Handler) {
	if h == nil {
		r.fail("Leftover: %w", errNilHandler)
		return
	}
	x := r.entry(nil)
	x.h = h
	for i, b := range kinds {
		if k&b != 0 {
			r.m.leftovers[i] = append(r.m.leftovers[i], x)
		}
	}
}

// IQ registers the handler of requests with a payload of that name. Of several
// for one scope, type and name the first is asked only; registering a second is
// an error of New. An empty Local matches every name of the namespace that has
// no handler of its own.
func (r *Registry) IQ(s Scope, t stanza.IQType, payload xml.Name, h IQFunc, o ...RegisterOption) {
	if h == nil || s >= scopes || t != stanza.GetIQ && t != stanza.SetIQ {
		r.fail("IQ %s %s %v: bad registration", s, t, payload)
		return
	}
	x := r.entry(o)
	x.iq = h
	k := iqKey{s, string(t), payload}
	if _, dup := r.m.iqs[k]; dup {
		r.fail("IQ %s %s %v is registered by %s already", s, t, payload, r.m.iqs[k].ext)
		return
	}
	r.m.iqs[k] = &x
	r.m.iqOrder = append(r.m.iqOrder, k)
}

// Entity registers the handler of every address of a hosted domain, such as a
// chat room service. Its turns are one after another for each bare JID. Unknown
// requests are its own to answer: an error it returns is sent back, and an IQ
// request it neither answers with [Event.Reply] nor refuses gets
// service-unavailable, unless it returns Done: then it has passed the request on,
// and whoever has it answers.
func (r *Registry) Entity(domain string, h Handler, o ...RegisterOption) {
	a, err := ParseAddress(domain)
	if err != nil || h == nil || a.Domain() != a.String() {
		r.fail("Entity %q: no domain or no handler", domain)
		return
	}
	if _, dup := r.m.entities[a.Domain()]; dup {
		r.fail("Entity %q is registered already", domain)
		return
	}
	x := r.entry(o)
	x.h = h
	r.m.entities[a.Domain()] = &x
}

// Nonza registers the handler of a top-level element that is no stanza, on bound
// client streams. It runs on the stream's reader, outside of any turn: it may
// use the session only, and must not wait. An empty Local matches every name of
// the namespace that has no handler of its own.
func (r *Registry) Nonza(name xml.Name, h Handler) {
	if _, dup := r.m.nonzas[name]; dup || h == nil {
		r.fail("Nonza %v: registered already, or no handler", name)
		return
	}
	r.m.nonzas[name] = &entry{ext: r.ext, h: h}
}

// Inbound registers a sink on the way in: wire, Track, Hold, points. bind is
// called once for a session and returns the sink, or next itself if it does not
// take part.
func (r *Registry) Inbound(l Layer, bind func(s *Session, next Sink) Sink) {
	r.layer(&r.m.inbound, l, bind)
}

// Outbound registers a sink on the way out: router, Hold, Track, wire. Of several
// in one layer the first registered is nearest to the router.
func (r *Registry) Outbound(l Layer, bind func(s *Session, next Sink) Sink) {
	r.layer(&r.m.outbound, l, bind)
}

func (r *Registry) layer(t *[layers][]binder, l Layer, bind func(*Session, Sink) Sink) {
	if bind == nil || l >= layers {
		r.fail("layer %s: %w", l, errNilHandler)
		return
	}
	t[l] = append(t[l], binder{r.ext, bind})
}

type binder struct {
	ext  string
	bind func(*Session, Sink) Sink
}

// Feature registers a stream feature, for package negotiate.
func (r *Registry) Feature(f Feature) {
	if f.Name == "" || len(f.Owns) > 0 && f.Step == nil {
		r.fail("feature %q needs a name and a step", f.Name)
		return
	}
	f.ext = r.ext
	r.m.features = append(r.m.features, f)
}

// Restored registers a function that is told of each item that was saved with a
// session and is read again ([Mux.RestoreItem]), before the session is fed with it.
// It runs outside of any turn and must not wait.
func (r *Registry) Restored(f func(it *Item)) { r.m.restored = append(r.m.restored, f) }

// Inline registers a member of SASL2 or Bind 2 (XEP-0388, XEP-0386).
func (r *Registry) Inline(i Inline) {
	if i.Name.Local == "" && (i.At != InBind || i.Name.Space != "") || i.Step == nil {
		r.fail("inline member needs a name and a step")
		return
	}
	i.ext = r.ext
	r.m.inlines = append(r.m.inlines, i)
}

// Lifecycle registers functions for what happens to sessions.
func (r *Registry) Lifecycle(l Lifecycle) {
	l.ext = r.ext
	r.m.lifecycles = append(r.m.lifecycles, l)
}

// Seal registers a function that is called when the last turn of a Work has
// ended, before its writes are submitted: for what must be durable together with
// them, such as the counters of the sender (XEP-0198 §4). It runs outside of any
// turn; f may call w.Write and w.Origin.
func (r *Registry) Seal(f func(w *Work)) { r.m.sealers = append(r.m.sealers, f) }

// Disco registers a provider of service discovery information.
func (r *Registry) Disco(s Scope, p func(ctx context.Context, q *DiscoQuery) error) {
	if p == nil || s >= scopes {
		r.fail("Disco %s: %w", s, errNilHandler)
		return
	}
	r.m.discos = append(r.m.discos, discoProvider{r.ext, s, p})
}

// kinds lists the stanza kinds by index.
var kinds = [3]Kind{Message, Presence, IQ}

func kindIndex(k Kind) int {
	switch k {
	case Message:
		return 0
	case Presence:
		return 1
	}
	return 2
}

// table holds what is registered for each point and kind, in order.
type table [points][len(kinds)][]entry

func (t *table) add(p Point, k Kind, x entry) {
	for i, b := range kinds {
		if k&b != 0 {
			t[p][i] = append(t[p][i], x)
		}
	}
}

type iqKey struct {
	scope   Scope
	typ     string
	payload xml.Name
}
