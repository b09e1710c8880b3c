package mds

import (
	"context"
	"encoding/xml"
	"errors"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Own is what is needed of a client of personal eventing, such as package pep's Client,
// where the methods are described.
type Own interface {
	Announces(ctx context.Context, feature string) (bool, error)
	EachOwn(ctx context.Context, node, id string, yield func(id string, payload mux.Raw) bool) error
	PutOwn(ctx context.Context, node, id string, payload mux.Raw) error
	WatchOwn(node string, payload xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (stop func(), err error)
}

// Archive is what a client knows of messages: the order is that of its own copy, since
// IDs say nothing of it.
type Archive interface {
	// Later reports whether the message of a position comes after another of the same
	// chat; after an ID of "", or one that is not there any more, any does. known is
	// false if the message itself is not there, or not of the chat. It is called by any goroutine, and must not
	// call the Client.
	Later(p Position, than string) (later, known bool)
}

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// Interval is how much time is between two publications of one chat; 0 for a second.
	// What is displayed meanwhile is published at its end.
	Interval time.Duration
	// Timeout bounds a publication; 0 for 30 s.
	Timeout time.Duration
	// Failed is told, by the goroutine that publishes, of a position that could not be
	// published, for several chats at once. It is published with the next one of the chat, and by [Client.Flush].
	// nil for nobody.
	Failed func(p Position, err error)
}

// Client is the client's side: it publishes how far chats were displayed here, and tells
// how far they were elsewhere. Positions only move forward (XEP-0490 §5.1). Make one with
// [NewClient]; its methods may be called concurrently.
type Client struct {
	own     Own
	archive Archive
	opt     ClientOptions

	mu     sync.Mutex // guards what follows
	chats  map[mux.Address]*chat
	closed bool
	// running counts publications that are under way; idle is closed when there are
	// none, if somebody waits for that.
	running int
	idle    chan struct{}
}

// chat is what is known of one chat.
type chat struct {
	at      Position // how far it was displayed, anywhere
	due     *Position
	busy    bool // it is being published
	waiting *time.Timer
	last    time.Time // when it was published
}

// NewClient returns a client. o may be nil and is copied.
func NewClient(own Own, archive Archive, o *ClientOptions) *Client {
	c := &Client{own: own, archive: archive, chats: make(map[mux.Address]*chat)}
	if o != nil {
		c.opt = *o
	}
	if c.opt.Interval <= 0 {
		c.opt.Interval = time.Second
	}
	if c.opt.Timeout <= 0 {
		c.opt.Timeout = 30 * time.Second
	}
	return c
}

// move moves a chat forward; the lock is held. It reports whether it did: not to where
// it is or was, nor to a message that is not known (XEP-0490 §5.1).
func (c *Client) move(p Position) (*chat, bool) {
	ch := c.chats[p.Chat]
	at := ""
	if ch != nil {
		at = ch.at.ID
	}
	if later, known := c.archive.Later(p, at); !later || !known {
		return ch, false
	}
	if ch == nil {
		ch = new(chat)
		c.chats[p.Chat] = ch
	}
	ch.at = p
	return ch, true
}

// Displayed says that a chat was displayed up to a message, which is published soon, if
// that is news. It does not wait.
func (c *Client) Displayed(p Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	ch, moved := c.move(p)
	if !moved {
		return
	}
	ch.due = &p
	c.arrange(ch)
}

// arrange has what is due published now or when its time has come; the lock is held.
func (c *Client) arrange(ch *chat) {
	if ch.due == nil || ch.busy || ch.waiting != nil || c.closed {
		return
	}
	wait := time.Duration(0)
	if !ch.last.IsZero() {
		wait = c.opt.Interval - time.Since(ch.last)
	}
	if wait <= 0 {
		c.start(ch)
		return
	}
	ch.waiting = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		ch.waiting = nil
		c.arrange(ch)
	})
}

// start publishes what is due; the lock is held.
func (c *Client) start(ch *chat) {
	p := *ch.due
	c.begin(ch)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.opt.Timeout)
		defer cancel()
		_ = c.publish(ctx, ch, p) // Failed is told
	}()
}

// begin and end stand around a publication; the lock is held.
func (c *Client) begin(ch *chat) {
	ch.due, ch.busy, ch.last = nil, true, time.Now()
	c.running++
}

func (c *Client) end(ch *chat, p Position, err error) {
	ch.busy = false
	switch {
	case err == nil || ch.at != p:
		c.arrange(ch) // what has come meanwhile
	case ch.due == nil:
		ch.due = &p // for another time
	}
	if c.running--; c.running == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// publish publishes a position for which begin was called.
func (c *Client) publish(ctx context.Context, ch *chat, p Position) error {
	err := c.own.PutOwn(ctx, NS, p.Chat.String(), p.Payload())
	if err != nil && c.opt.Failed != nil {
		c.opt.Failed(p, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(ch, p, err)
	return err
}

// wait waits until nothing is being published.
func (c *Client) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.running == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush publishes at once whatever is due, and waits for that: before a session is left,
// or in a new one. It returns the errors joined.
func (c *Client) Flush(ctx context.Context) error {
	var errs []error
	for {
		ch, p := c.takeDue()
		if ch == nil {
			break
		}
		if err := c.publish(ctx, ch, p); err != nil {
			errs = append(errs, err)
			break // the others would fail as well
		}
	}
	return errors.Join(append(errs, c.wait(ctx))...)
}

// takeDue takes one position that is due and not being published.
func (c *Client) takeDue() (*chat, Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.chats {
		if ch.due == nil || ch.busy {
			continue
		}
		if ch.waiting != nil && ch.waiting.Stop() {
			ch.waiting = nil
		}
		p := *ch.due
		c.begin(ch)
		return ch, p
	}
	return nil, Position{}
}

// Assist is what to put into a displayed marker (XEP-0333) that is sent to the chat
// anyway, in place of [Client.Displayed]: the server takes it out and publishes it
// (XEP-0490 §4.5.3). ok is false if there is nothing to put in: the server does not
// assist, and the position is published as by Displayed, or it is no news. The message
// must go to the address of the chat and have something else in it.
func (c *Client) Assist(ctx context.Context, p Position) (element mux.Child, ok bool) {
	can, err := c.own.Announces(ctx, NSAssist)
	if err != nil || !can {
		c.Displayed(p)
		return mux.Child{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, moved := c.move(p)
	if !moved || c.closed {
		return mux.Child{}, false
	}
	ch.due, ch.last = nil, time.Now() // this one says it all
	if ch.waiting != nil && ch.waiting.Stop() {
		ch.waiting = nil
	}
	return mux.RawChild(displayedName, string(p.Payload())), true
}

// At is how far a chat was displayed anywhere, as far as is known.
func (c *Client) At(chat mux.Address) (Position, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.chats[chat]; ch != nil {
		return ch.at, true
	}
	return Position{}, false
}

// Watch has handle told when other devices have displayed more of a chat, until stop is
// called, one at a time; in each session first of what happened before it (MDS-2). What is
// older than what is known, or of a message that the archive does not have, is left out.
func (c *Client) Watch(handle func(ctx context.Context, p Position)) (stop func(), err error) {
	return c.own.WatchOwn(NS, displayedName, func(ctx context.Context, what, id string, payload mux.Raw) {
		switch what {
		case "published", "fetched":
			c.told(ctx, id, payload, handle)
		case "missed":
			// If it cannot be read the session has ended, and the next begins anew.
			_ = c.own.EachOwn(ctx, NS, "", func(id string, payload mux.Raw) bool {
				c.told(ctx, id, payload, handle)
				return true
			})
		}
		// That an item is gone does not make anything unread.
	})
}

func (c *Client) told(ctx context.Context, id string, payload mux.Raw, handle func(ctx context.Context, p Position)) {
	p, err := Parse(id, payload)
	if err != nil {
		return
	}
	c.mu.Lock()
	ch, moved := c.move(p)
	if moved {
		ch.due = nil // it is older
	}
	c.mu.Unlock()
	if moved {
		handle(ctx, p)
	}
}

// Close ends the publishing: what is due is given up, unless [Client.Flush] was called
// before.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	for _, ch := range c.chats {
		if ch.waiting != nil {
			ch.waiting.Stop()
		}
	}
	c.mu.Unlock()
	_ = c.wait(context.Background()) // there is no other error
}
