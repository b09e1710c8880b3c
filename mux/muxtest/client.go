package muxtest

import (
	"context"
	"errors"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

var errTestEnds = errors.New("muxtest: the test ends")

// Client plays the peer of one stream. Its methods are for the goroutine of the
// test.
type Client struct {
	// Stream is the stream; Session what was bound to it or resumed by it.
	Stream  *mux.Stream
	Session *mux.Session

	t    TB
	h    *Host
	name string
	conn *conn
	// going takes the next element, see [mux.Outcome]; the reader's.
	going func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error)

	mu     sync.Mutex // guards what follows
	cond   *sync.Cond
	queue  []string // for the reader
	ending bool     // the reader is to end
	clean  bool
	ended  bool // it has
	busy   bool
	err    error
}

// Dial connects a stream whose peer has authenticated as an account, which is
// made to exist. Nothing is bound: what the client sends is for the stream
// features until [Client.Bind] or a resumption.
func (h *Host) Dial(t TB, bare string) *Client {
	t.Helper()
	h.AddAccount(bare)
	c := h.dial(t, mux.Client, bare)
	c.Stream.SetDomain(mux.MustParseAddress(bare).Domain())
	c.Stream.SetAccount(mux.MustParseAddress(bare))
	return c
}

// DialDomain connects a stream of another server or a component, which may send
// for its domain.
func (h *Host) DialDomain(t TB, role mux.Role, domain string) *Client {
	t.Helper()
	c := h.dial(t, role, domain)
	c.Stream.Authorize(domain)
	return c
}

func (h *Host) dial(t TB, role mux.Role, name string) *Client {
	c := &Client{t: t, h: h, name: name}
	c.cond = sync.NewCond(&c.mu)
	c.conn = &conn{c: c}
	c.Stream = h.Mux().NewStream(c.conn, role)
	c.Stream.SetState(mux.Secure)
	h.mu.Lock()
	h.clients = append(h.clients, c)
	h.mu.Unlock()
	go c.read()
	return c
}

// Connect connects a client and binds its resource.
func (h *Host) Connect(t TB, full string) *Client {
	t.Helper()
	a := mux.MustParseAddress(full)
	c := h.Dial(t, a.Bare().String())
	c.Bind(&mux.BindOptions{Resource: a.Resource()})
	return c
}

// Bind binds a resource; o may be nil.
func (c *Client) Bind(o *mux.BindOptions) {
	c.t.Helper()
	s, err := c.Stream.Bind(context.Background(), o)
	if err != nil {
		c.t.Fatalf("%s: Bind: %v", c.name, err)
	}
	c.Session, c.name = s, s.JID().String()
	c.h.Settle()
}

// Resume takes a session over. A refusal is returned.
func (c *Client) Resume(q *mux.Resumption) error {
	c.t.Helper()
	s, err := c.Stream.Resume(context.Background(), q)
	if err == nil {
		c.Session = s
	}
	c.h.Settle()
	return err
}

// Send sends elements, as if they had arrived together, and waits until
// everything has come to rest.
func (c *Client) Send(elements ...string) {
	c.t.Helper()
	c.Write(elements...)
	c.h.Settle()
	if c.h.bubble {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.queue) > 0 || c.busy) && !c.ended {
		c.cond.Wait()
	}
}

// Write is Send without waiting.
func (c *Client) Write(elements ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, elements...)
	c.cond.Broadcast()
}

// Drop breaks the connection.
func (c *Client) Drop() { c.end(false) }

// Close ends the stream properly. Our answer to that is not among what arrives.
func (c *Client) Close() { c.end(true) }

func (c *Client) end(clean bool) {
	c.conn.cut()
	c.mu.Lock()
	c.ending, c.clean = true, clean
	c.cond.Broadcast()
	c.mu.Unlock()
	if c.h.bubble {
		c.h.Settle()
		return
	}
	c.wait()
}

// wait waits for the reader's end.
func (c *Client) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended {
		c.cond.Wait()
	}
}

// Err is what made the stream's reader end, nil while it reads.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Unread is how many elements the reader has not accepted yet: those behind one
// that waits for credit, that one included.
func (c *Client) Unread() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.queue)
	if c.busy {
		n++
	}
	return n
}

// read is the stream's reader.
func (c *Client) read() {
	for {
		el, ok := c.next()
		if !ok {
			break
		}
		if err := c.receive(el); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			break
		}
	}
	c.mu.Lock()
	clean := c.clean
	c.mu.Unlock()
	c.Stream.Gone(clean)
	c.mu.Lock()
	c.ended, c.busy = true, false
	c.cond.Broadcast()
	c.mu.Unlock()
}

// next waits for the next element to be read; input that is used up is flushed.
func (c *Client) next() (el string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 && !c.ending {
		c.mu.Unlock()
		c.Stream.Flush()
		c.mu.Lock()
		c.busy = false
		c.cond.Broadcast()
	}
	for len(c.queue) == 0 && !c.ending {
		c.cond.Wait()
	}
	if len(c.queue) == 0 || c.conn.isClosed() {
		return "", false
	}
	el, c.queue, c.busy = c.queue[0], c.queue[1:], true
	return el, true
}

func (c *Client) receive(el string) error {
	s, err := mux.Parse([]byte(el))
	if err != nil {
		c.t.Errorf("%s sends what is no element: %v: %s", c.name, err, el)
		return err
	}
	if c.Stream.Role() == mux.Client && c.Stream.State()&mux.Bound == 0 {
		return c.negotiate(s)
	}
	return c.Stream.Receive(context.Background(), s)
}
