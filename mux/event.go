package mux

import (
	"context"

	"mellium.im/xmlstream"
)

// Event is what a handler is told. It is reused: it must not be kept after the
// handler has returned, nor used by another goroutine.
type Event struct {
	// Point is where the stanza is, for Guard, Modify and Observe.
	Point Point
	// Account is the bare JID whose turn it is: an account, or of a hosted
	// entity; the domain itself for what remote peers ask of a served domain.
	Account Address
	// Session is the session that sent the stanza, at FromPeer and for requests
	// of own clients; for Lifecycle the session it is about; else nil.
	Session *Session
	// Stanza is the stanza; a modifier replaces it. It may be nil in events that
	// are not about one.
	Stanza *Stanza
	// Item is what is known beside the stanza; nil where there is none.
	Item *Item
	// Targets are the sessions that got the stanza, for observers at ToAccount.
	// Valid during the call only.
	Targets []*Session
	// Unknown says that there is no such account, for requests at AtAccount and
	// for who registered with the option [Unknown].
	Unknown bool
	// Work is what the turn belongs to.
	Work *Work

	m     *Mux
	r     *runner
	acct  *account
	from  Address // whom replies go to
	reply replyState
	then  []func(ctx context.Context, e *Event)
	later *Later

	removing bool // the account is being removed, or was
}

type replyState uint8

const (
	replyNone  replyState = iota // nothing to answer
	replyOwed                    // a request without an answer yet
	replyGiven                   // answered, or Later was called
)

// Mux is the mux of the event.
func (e *Event) Mux() *Mux { return e.m }

// Origin is the stream the stanza came in on, nil for what the server made.
func (e *Event) Origin() *Stream {
	if e.Item == nil {
		return nil
	}
	return e.Item.Origin
}

// Sessions are the sessions of the account of the turn. The slice must not be
// changed and stays as it is when sessions come and go.
func (e *Event) Sessions() []*Session {
	if e.acct == nil {
		return nil
	}
	return e.acct.list()
}

// Send routes a stanza to its addressee, as part of this Work, after this turn.
// Its from must be set; if it is of the turn's account the stanza passes the
// FromAccount points.
func (e *Event) Send(ctx context.Context, s *Stanza) { e.SendItem(ctx, Item{Stanza: s}) }

// SendItem is Send with more to say.
func (e *Event) SendItem(ctx context.Context, it Item) {
	it.Work, it.gen = e.Work, e.Work.generation()
	it.record()
	e.m.send(ctx, e, &it)
}

// Deliver puts an item into sessions of the turn's account directly, without
// routing and points: for pushes, copies and whatever else the server itself
// says to one session. It reports how many took it. Unless it.To is set each is
// addressed by its full JID.
func (e *Event) Deliver(it Item, to ...*Session) (took int) {
	it.Work, it.gen = e.Work, e.Work.generation()
	if it.Flags&Copy == 0 && it.Record == nil {
		it.Record = it.Stanza.rec
	}
	own := it.To.IsZero()
	each := &e.r.given
	for _, s := range to {
		if s.acct != e.acct {
			continue
		}
		*each = it // sinks may have changed it
		if own {
			each.To = s.jid
		}
		if s.put(e.r, each) {
			took++
		}
	}
	*each = Item{}
	return took
}

// Reply answers the request of the event, once; the payload may be nil. It is
// for handlers that are no IQFunc, such as entities and guards that return
// [Done].
func (e *Event) Reply(ctx context.Context, payload xmlstream.Marshaler, err error) {
	if e.reply != replyOwed {
		return
	}
	e.reply = replyGiven
	e.m.answer(ctx, e, e.Stanza, e.from, payload, err)
}

// Later promises an answer after the handler has returned, given outside of the
// turn. The account's next turns do not wait for it.
func (e *Event) Later() *Later {
	if e.later == nil {
		e.later = newLater(e)
		e.reply = replyGiven
	}
	return e.later
}

// Then runs f in this turn when the answer has been given, for effects that the
// peer must see after it. f is run also if the answer is an error.
func (e *Event) Then(f func(ctx context.Context, e *Event)) { e.then = append(e.then, f) }

// Do runs f in a turn of another account, as part of this Work, after this turn.
func (e *Event) Do(account Address, f func(ctx context.Context, e *Event)) {
	e.m.submitCall(e.r, account, e.Work, f)
}

// wireError reports whether an error is one that goes to the peer; others are
// for the log.
func wireError(err error) bool {
	_, ok := stanzaError(err)
	return ok
}

// doneWith runs what was registered with Then.
func (e *Event) doneWith(ctx context.Context) {
	for len(e.then) > 0 {
		f := e.then[0]
		e.then = e.then[1:]
		f(ctx, e)
	}
	e.then = nil
}
