package smacks

import (
	"bytes"
	"encoding/xml"
	"errors"
	"sync"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// OutgoingOptions refine an Outgoing. The zero value of each field is its default.
type OutgoingOptions struct {
	// MaxQueue and MaxBytes bound what is kept unacknowledged, 0 for 1000 stanzas and
	// 4 MiB. What would be beyond is refused.
	MaxQueue, MaxBytes int
	// AskAfter is after how many stanzas the peer is asked to acknowledge, 0 for 25;
	// AskWithin how long the last ones wait for that, 0 for 10 s. The first stanza
	// after so long is asked for at once.
	AskAfter  int
	AskWithin time.Duration
	// AckTimeout is how long the peer may take to answer, 0 for 60 s. Then the stream
	// is closed with connection-timeout; and if it answers for as long without
	// acknowledging any of what it was asked about, with policy-violation. The time does
	// not count while the connection is deliberately not read: if it has a method
	// Paused() bool that says so.
	AckTimeout time.Duration
	// Resend reports whether a stanza that was not acknowledged is sent once more when
	// there is another stream, marked with when it was sent first (XEP-0203), in place
	// of going back: its recipient gets it twice if just the acknowledgement was lost.
	// It is not asked about requests (IQs of type get or set), nor twice about a stanza,
	// is called without locks and must not wait. Nil is for never.
	Resend func(it *mux.Item) bool
	// ResendWithin is how long such stanzas wait for another stream until they go back
	// too, 0 for 60 s.
	ResendWithin time.Duration
}

func (o *OutgoingOptions) withDefaults() OutgoingOptions {
	var d OutgoingOptions
	if o != nil {
		d = *o
	}
	orElse(&d.MaxQueue, 1000)
	orElse(&d.MaxBytes, 4<<20)
	orElse(&d.AskAfter, 25)
	orElse(&d.AskWithin, 10*time.Second)
	orElse(&d.AckTimeout, 60*time.Second)
	orElse(&d.ResendWithin, 60*time.Second)
	return d
}

// Outgoing is what goes from one domain here to one of another server, over one stream
// after the other: stanzas are kept until the peer has acknowledged them, and those that
// it had not when a stream broke go back to their senders, or are sent once more. There
// is no resumption between servers.
//
// It sends over a stream that is negotiated and goes one way: for streams that go both
// ways (XEP-0288) it cannot be used. While there is none, [Outgoing.Send] refuses. All
// methods may be called concurrently; whoever has an Outgoing calls Close in the end.
type Outgoing struct {
	opt    OutgoingOptions
	bounce func(it mux.Item, err error)

	mu     sync.Mutex // guards what follows, and the link
	link   *Link      // the stream there is
	again  []mux.Item // wait for the next one
	timer  *time.Timer
	round  int // which waiting it is for
	buf    []byte
	closed bool
}

// NewOutgoing begins without a stream. bounce gets each stanza that is given up, once
// and oldest first, with the error for its sender: remote-server-timeout, of type wait.
// It is called without locks; [mux.Mux.Bounce] is one, and for those who have no mux
// [mux.ErrorReply] makes the answer. o may be nil and is copied.
func NewOutgoing(bounce func(it mux.Item, err error), o *OutgoingOptions) *Outgoing {
	return &Outgoing{opt: o.withDefaults(), bounce: bounce}
}

// ErrNoStream is what Send returns while there is no stream: the stanza is still the
// caller's, to be kept until there is one, or to be refused.
var ErrNoStream = errors.New("smacks: no stream to the other server")

// errStreams refuses a stream while there is another.
var errStreams = errors.New("smacks: the last stream to the other server has not ended")

// errFull refuses stanzas (core-im LIM-17).
var errFull = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}

// Open begins with another stream, whose negotiation is over. offered says whether its
// features have Stream Management ([Offered]): if not, stanzas are written and that is
// it. What waits to be sent once more is written first. Nobody else may write stanzas to
// c, nor anything else without c allowing that at the same time; and c's Write may not
// call the Outgoing.
//
// The reader of the stream gives what the peer says to [Link.Receive], and calls
// [Link.Gone] when it ends. The error is [mux.ErrClosed], or says that the last stream has
// not ended yet.
func (o *Outgoing) Open(c mux.Conn, offered bool) (*Link, error) {
	o.mu.Lock()
	switch {
	case o.closed:
		o.mu.Unlock()
		return nil, mux.ErrClosed
	case o.link != nil:
		o.mu.Unlock()
		return nil, errStreams
	}
	l := &Link{o: o, conn: c, box: outbox{opt: &o.opt}}
	o.link = l
	o.buf = o.buf[:0]
	if offered {
		l.box.phase = enabling
		o.buf = append(o.buf, "<enable xmlns='"+NS+"'/>"...)
	}
	again := o.again
	o.again = nil
	o.stopTimer()
	for i := range again {
		late(&again[i])
	}
	err := l.write(again, true)
	o.mu.Unlock()
	l.close(err)
	if err != nil && !offered {
		o.goBack(again) // nobody keeps them
	}
	return l, nil
}

// Offered reports whether stream features have Stream Management.
func Offered(features *mux.Stanza) bool {
	return features.Has(xml.Name{Space: NS, Local: "sm"})
}

// Send writes stanzas, in order and in one piece, with a question behind them if it is
// time. They are all taken or none is: the error is [ErrNoStream], or a stanza error for
// their senders, resource-constraint, if too many are not acknowledged. What is taken has
// either arrived or is given up some time. A Work of the items must have ended, as it has
// for those that [mux.Host] is given.
func (o *Outgoing) Send(items ...mux.Item) error {
	o.mu.Lock()
	l := o.link
	if l == nil || l.broken || o.closed {
		o.mu.Unlock()
		return ErrNoStream
	}
	if !l.box.fits(items) {
		o.mu.Unlock()
		l.Ask()
		return errFull
	}
	o.buf = o.buf[:0]
	err := l.write(items, false)
	kept := l.box.phase != off
	o.mu.Unlock()
	l.close(err)
	if err != nil && !kept {
		return ErrNoStream
	}
	return nil
}

const nsDelay = "urn:xmpp:delay"

// late marks a stanza that is sent once more (XEP-0203; smacks SM-81).
func late(it *mux.Item) {
	s := it.Stanza
	it.Flags |= mux.Replay
	if s.Kind() == mux.IQ {
		return
	}
	if bytes.Contains(it.Extra, []byte("'"+nsDelay+"'")) {
		return // whoever sent it has said so
	}
	from := s.From().Domain()
	for _, c := range s.Children() {
		if c.Name.Space == nsDelay && c.Attr("from") == from {
			return
		}
	}
	it.Extra = mux.AppendDelay(it.Extra[:len(it.Extra):len(it.Extra)], from, it.At)
}

// wait has stanzas wait for the next stream, or gives them up.
func (o *Outgoing) wait(again []mux.Item) {
	o.mu.Lock()
	o.link = nil
	given := again
	if !o.closed {
		given = nil
		if o.again = again; len(again) > 0 {
			o.round++
			round := o.round
			o.timer = time.AfterFunc(o.opt.ResendWithin, func() { o.giveUp(round) })
		}
	}
	o.mu.Unlock()
	o.goBack(given)
}

// giveUp gives back what has waited for a stream for too long.
func (o *Outgoing) giveUp(round int) {
	var given []mux.Item
	o.mu.Lock()
	if o.round == round && o.timer != nil { // else it has come at last
		given, o.again, o.timer = o.again, nil, nil
	}
	o.mu.Unlock()
	o.goBack(given)
}

func (o *Outgoing) stopTimer() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

func (o *Outgoing) goBack(items []mux.Item) {
	for _, it := range items {
		o.bounce(it, errUnacked)
	}
}

// Close gives back what waits for another stream, and takes nothing any more. A stream
// that there is goes on until it has ended, see [Link.Wait]; then the rest goes back.
func (o *Outgoing) Close() {
	o.mu.Lock()
	o.closed = true
	given := o.again
	o.again = nil
	o.stopTimer()
	o.mu.Unlock()
	o.goBack(given)
}

// Unacknowledged is how many stanzas are kept, and about how many octets they have.
func (o *Outgoing) Unacknowledged() (stanzas, octets int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	stanzas = len(o.again)
	for i := range o.again {
		octets += size(&o.again[i])
	}
	if o.link != nil {
		stanzas, octets = stanzas+o.link.box.queue.len(), octets+o.link.box.queue.bytes
	}
	return stanzas, octets
}
