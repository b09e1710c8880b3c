package pep

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Errors of [Client] beside [*Error], what a service has said, and those of the context.
var (
	// ErrDisconnected is what calls fail with when the session has ended or the request
	// could not be written. Whether it was carried out is not known: publications with
	// an ID may be made again in the next session, others may end up there twice.
	ErrDisconnected = errors.New("pep: the session has ended")
	// ErrAnswer: an answer that is none, or by somebody who was not asked.
	ErrAnswer = errors.New("pep: not an answer to the request")
	// ErrTooLarge: an answer is larger than ClientOptions.MaxAnswer.
	ErrTooLarge = errors.New("pep: the answer is too large")
	// ErrPayload: what is to be published is not exactly one well-formed element.
	ErrPayload = errors.New("pep: a payload is one element")
	// ErrNotPrivate: the server does not know publish-options and so would show to
	// others what is private (XEP-0223 §7). Nothing was sent.
	ErrNotPrivate = errors.New("pep: the server cannot keep that private")
	// ErrNoItem: there is no such item.
	ErrNoItem = errors.New("pep: no such item")
)

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// Timeout is how long one request may take, beside what its context says; 0 for a
	// minute, negative for no limit.
	Timeout time.Duration
	// MaxAnswer bounds one answer, in octets of names and texts; 0 or less for 16 MiB.
	MaxAnswer int
	// MaxPages bounds the pages that items are read in; 0 or less for 10000.
	MaxPages int

	// Contact reports whether a bare address is in the roster with a subscription to
	// or both: [FromContacts] are those. It is called while the session is being read, so it
	// must not wait. nil: there are none. What it goes by must come from the own server: a
	// roster push by anybody else (RFC 6121 §2.1.6), which package roster of mellium does
	// not tell apart, would make him a contact.
	Contact func(bare jid.JID) bool
	// Changed is told, on a goroutine of its own, that [Client.Features] gives others now, so
	// that presence with other capabilities is to be sent (XEP-0115 §6.1). It is called
	// once for all changes within Settle, 0 for 250 ms. nil for nobody.
	Changed func()
	Settle  time.Duration
	// MaxEvents and MaxEventBytes bound the events that wait for their handlers, those of
	// the own account and once more those of all others; 0 or less for 4096 and 16 MiB. See
	// [Missed] for those above.
	MaxEvents     int
	MaxEventBytes int
	// Workers is how many handlers run at a time for events of the own account, and how
	// many for others'; 0 or less for 8.
	Workers int
}

func (o *ClientOptions) defaults() {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Contact == nil {
		o.Contact = func(jid.JID) bool { return false }
	}
	if o.Settle <= 0 {
		o.Settle = 250 * time.Millisecond
	}
	for _, b := range []struct {
		v         *int
		otherwise int
	}{{&o.MaxAnswer, 16 << 20}, {&o.MaxPages, 10000}, {&o.MaxEvents, 4096}, {&o.MaxEventBytes, 16 << 20}, {&o.Workers, 8}} {
		if *b.v <= 0 {
			*b.v = b.otherwise
		}
	}
}

// Client is the client's side: it publishes to the nodes of the own account, reads those
// of others, and hands events to whoever watches a node. Make one with [NewClient]. All
// methods may be called concurrently, and wait for the server, so not where the session
// is being read, such as in handlers of mellium's mux; those of [Watch] run elsewhere.
//
// Errors are those above, a [*Error], and those of the context.
type Client struct {
	opt    ClientOptions
	intake intake

	mu      sync.Mutex // guards what follows
	s       *xmpp.Session
	life    context.Context // ends with the use of s
	end     context.CancelFunc
	support *Support

	asking chan struct{} // who has put something in may discover
}

// NewClient returns a client for a session that is ready, on which Serve must be running
// for every call. o may be nil and is copied. To get events too it must be an extension of
// a [mux.ClientSession] or in mellium's mux, see [Client.Handle].
func NewClient(s *xmpp.Session, o *ClientOptions) *Client {
	c := &Client{asking: make(chan struct{}, 1)}
	if o != nil {
		c.opt = *o
	}
	c.opt.defaults()
	c.intake.init(&c.opt)
	c.Use(s)
	return c
}

// Use goes on with another session of the same account, after one that has ended: what is
// watched stays, what the server can do is asked anew. Requests that wait in the old one
// fail. It is not for sessions that were resumed (XEP-0198): there nothing has changed.
func (c *Client) Use(s *xmpp.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		c.end()
	}
	c.s, c.support = s, nil
	c.life, c.end = context.WithCancel(context.Background())
	c.intake.setOwn(mux.AddressOf(s.LocalAddr().Bare()))
}

// Close ends the use of the session: requests fail with [ErrDisconnected], events are
// dropped, and handlers that run have their contexts end; it waits for those, so it must
// not be called by one. The session stays as it is.
func (c *Client) Close() {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	c.intake.close()
}

// session is the one in use, with what ends with its use.
func (c *Client) session() (*xmpp.Session, context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s, c.life
}

// own is the account.
func (c *Client) own() jid.JID {
	s, _ := c.session()
	return s.LocalAddr().Bare()
}

// isOwn reports whether an address stands for the own account, as none at all does.
func (c *Client) isOwn(to jid.JID) bool {
	return to.Equal(jid.JID{}) || to.Equal(c.own())
}

// get and set send a request and return what is in the answer.
func (c *Client) get(ctx context.Context, to jid.JID, payload []byte) (*answerXML, error) {
	return c.ask(ctx, to, stanza.GetIQ, payload)
}

func (c *Client) set(ctx context.Context, to jid.JID, payload []byte) (*answerXML, error) {
	return c.ask(ctx, to, stanza.SetIQ, payload)
}

// lookAgain is how often it is looked whether the session has ended while an answer is
// awaited: mellium tells nobody.
const lookAgain = time.Second

func (c *Client) ask(ctx context.Context, to jid.JID, typ stanza.IQType, payload []byte) (*answerXML, error) {
	s, life := c.session()
	to = to.Bare() // a service has no resource
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case life.Err() != nil:
		return nil, ErrDisconnected
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(ErrDisconnected) })()
	if c.opt.Timeout > 0 {
		late := time.AfterFunc(c.opt.Timeout, func() { cancel(context.DeadlineExceeded) })
		defer late.Stop()
	}
	defer watchEnd(waiting, s, cancel)()
	tokens, err := checked(plain{mux.Raw(payload).TokenReader()})
	if err != nil {
		return nil, err
	}
	a, err := c.exchange(waiting, s, tokens, stanza.IQ{Type: typ, To: to})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(context.Cause(waiting), context.DeadlineExceeded):
		return nil, fmt.Errorf("pep: no answer: %w", context.DeadlineExceeded)
	case waiting.Err() != nil:
		return nil, ErrDisconnected
	default:
		return nil, err
	}
	switch {
	case !c.asked(to, a.From):
		return nil, ErrAnswer // whoever guesses an id must not answer
	case a.Type == string(stanza.ErrorIQ):
		return nil, a.Error.read()
	}
	return a, nil
}

// exchange sends a request and reads the answer, until ctx ends. What waits for the
// server then, to read what is written or to finish an answer that it has begun, waits on
// until the connection ends, but keeps nobody waiting.
func (c *Client) exchange(ctx context.Context, s *xmpp.Session, request xml.TokenReader, iq stanza.IQ) (*answerXML, error) {
	type result struct {
		a   *answerXML
		err error
	}
	// It ends only if it is given up, as that of package asking does.
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, giveUp)()
	done := make(chan result, 1)
	go func() {
		r, err := s.SendIQElement(sending, request, iq)
		if err != nil {
			done <- result{nil, fmt.Errorf("%w: %w", ErrDisconnected, err)}
			return
		}
		defer func() { _ = r.Close() }() // of what was read already nothing can be wrong
		a, err := readAnswer(&limited{r: r, left: c.opt.MaxAnswer})
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.a, r.err
	case <-ctx.Done():
		giveUp() // what AfterFunc does may come too late, and is stopped then
		return nil, ctx.Err()
	}
}

// watchEnd looks from time to time whether the session has ended, until what it returns
// is called.
func watchEnd(ctx context.Context, s *xmpp.Session, cancel context.CancelCauseFunc) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	look := func() {
		if s.State()&(xmpp.InputStreamClosed|xmpp.OutputStreamClosed) != 0 {
			cancel(ErrDisconnected)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil {
			timer.Reset(lookAgain)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(lookAgain, look)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
}

// asked reports whether an answer comes from whom was asked: for the own account that is
// the server, in one of the names that servers use (RFC 6120 §8.1.2.1, §10.3.3).
func (c *Client) asked(to jid.JID, from string) bool {
	if from == "" {
		return c.isOwn(to) // a session of mellium leaves the own bare address out
	}
	f, err := jid.Parse(from)
	if err != nil {
		return false
	}
	if !c.isOwn(to) {
		return f.Equal(to)
	}
	s, _ := c.session()
	full := s.LocalAddr()
	return f.Equal(full) || f.Equal(full.Bare()) || f.Equal(full.Domain())
}

// answerXML is what may be in an answer.
type answerXML struct {
	From   string     `xml:"from,attr"`
	Type   string     `xml:"type,attr"`
	Error  *errorXML  `xml:"error"`
	Pubsub *pubsubXML `xml:"http://jabber.org/protocol/pubsub pubsub"`
	Owner  *pubsubXML `xml:"http://jabber.org/protocol/pubsub#owner pubsub"`
	Info   *infoXML   `xml:"http://jabber.org/protocol/disco#info query"`
	Listed *listedXML `xml:"http://jabber.org/protocol/disco#items query"`
}

// readAnswer reads an IQ to its end.
func readAnswer(r *limited) (*answerXML, error) {
	a := new(answerXML)
	err := xml.NewTokenDecoder(r).Decode(a)
	switch {
	case r.left < 0:
		return nil, ErrTooLarge
	case r.err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDisconnected, r.err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return a, nil
}

// limited ends when too much was read, and notes what the stream has failed with.
type limited struct {
	r    xml.TokenReader
	left int
	err  error
}

// Token implements xml.TokenReader.
func (l *limited) Token() (xml.Token, error) {
	t, err := l.r.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	switch t := t.(type) {
	case xml.StartElement:
		l.left -= 16 + len(t.Name.Space) + len(t.Name.Local) // about what it takes in memory
		for _, a := range t.Attr {
			l.left -= 16 + len(a.Name.Space) + len(a.Name.Local) + len(a.Value)
		}
	case xml.CharData:
		l.left -= len(t)
	}
	if l.left < 0 {
		return nil, ErrTooLarge
	}
	return t, err
}

// errText: what cannot be written must not break the stream half way.
var errText = errors.New("pep: text that XML has no form for")

// checked reads all tokens before the first is written.
func checked(r xml.TokenReader) (xml.TokenReader, error) {
	var list []xml.Token
	for {
		t, err := r.Token()
		if t != nil {
			list = append(list, xml.CopyToken(t))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errText, err)
		}
	}
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(list) == 0 {
			return nil, io.EOF
		}
		t := list[0]
		list = list[1:]
		return t, nil
	}), nil
}

// plain leaves out declarations of prefixes: the encoder of encoding/xml makes its own
// where an attribute needs one, and takes these for attributes in a namespace.
type plain struct{ r xml.TokenReader }

// Token implements xml.TokenReader.
func (p plain) Token() (xml.Token, error) {
	t, err := p.r.Token()
	if start, ok := t.(xml.StartElement); ok {
		kept := start.Attr[:0:0]
		for _, a := range start.Attr {
			if a.Name.Space != "xmlns" {
				kept = append(kept, a)
			}
		}
		start.Attr = kept
		t = start
	}
	return t, err
}
