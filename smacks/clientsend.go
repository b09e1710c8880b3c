package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

// SendAcked sends a stanza on a session of the client and waits until the server
// has acknowledged it. It is nil if the server has no stream management. When ctx
// ends the stanza is still on its way.
func (c *Client) SendAcked(ctx context.Context, s *xmpp.Session, r xml.TokenReader) error {
	tok, err := r.Token()
	if err != nil {
		return err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return errors.New("smacks: not a stanza")
	}
	id := ""
	for i, a := range start.Attr {
		if a.Name.Local == "id" {
			if id = a.Value; id == "" {
				id = stanzaID()
				start.Attr[i].Value = id
			}
		}
	}
	if id == "" {
		id = stanzaID()
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "id"}, Value: id})
	}
	done := make(chan error, 1)
	c.mu.Lock()
	on := c.on
	if on {
		c.waiters[id] = append(c.waiters[id], done)
	}
	c.mu.Unlock()
	if err := s.SendElement(ctx, xmlstream.Inner(r), start); err != nil || !on {
		c.unwait(id, done)
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		c.unwait(id, done)
		return ctx.Err()
	}
}

func (c *Client) unwait(id string, done chan error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.waiters[id]
	for i := range list {
		if list[i] == done {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if c.waiters[id] = list; len(list) == 0 {
		delete(c.waiters, id)
	}
}

// RequestAck asks the server to acknowledge and waits until it has acknowledged all that
// was sent before, over resumptions as well.
func (c *Client) RequestAck(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.cur == nil || !c.on {
		c.mu.Unlock()
		return ErrSessionLost
	}
	c.answers = append(c.answers, answer{c.state.Out(), done})
	c.ask()
	c.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer is what somebody waits for: an acknowledgement of all up to a stanza.
type answer struct {
	upTo uint32
	done chan<- error
}

// calls runs functions one after another on a goroutine that lives as long as there
// are some. The zero value is ready.
type calls struct {
	mu   sync.Mutex
	list []func()
	runs bool
}

func (q *calls) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, f)
	if !q.runs {
		q.runs = true
		go q.run()
	}
}

func (q *calls) run() {
	for {
		q.mu.Lock()
		if len(q.list) == 0 {
			q.runs = false
			q.mu.Unlock()
			return
		}
		f := q.list[0]
		q.list = q.list[1:]
		q.mu.Unlock()
		f()
	}
}
