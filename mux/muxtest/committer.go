package muxtest

import (
	"context"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

var _ mux.Committer = (*Committer)(nil)

// Committer is a [mux.Committer] whose commits the test controls. It makes
// nothing durable: it calls the writes, with a nil transaction. At first each
// submission is a batch, committed at once. The zero value is ready to use, for
// one mux.
type Committer struct {
	mu      sync.Mutex // guards what follows
	notify  func(uint64, error)
	batch   uint64 // number of the open one, or of the last
	open    bool
	writes  []mux.Write
	held    bool
	fail    error
	waiting []ended // held, in order
	ended   []ended // in order, to be told
	telling bool
	batches int
}

type ended struct {
	batch  uint64
	writes []mux.Write
	err    error
}

// Submit implements [mux.Committer].
func (c *Committer) Submit(writes []mux.Write) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		c.open = true
		c.batch++
	}
	c.writes = append(c.writes, writes...)
	n := c.batch
	if !c.held {
		c.end(c.takeFail())
	}
	return n
}

// Notify implements [mux.Committer].
func (c *Committer) Notify(f func(uint64, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify = f
}

// Hold keeps batches open from now on.
func (c *Committer) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release commits what was held, and from now on each submission at once.
func (c *Committer) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	c.end(c.takeFail())
}

// Commit commits what was held and goes on holding.
func (c *Committer) Commit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(c.takeFail())
}

// Fail makes the open batch fail, or the next if there is none: none of its
// writes are made. It goes on holding, if it did.
func (c *Committer) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
	c.end(err)
}

// Cut ends the open batch without committing it: what is submitted later is in
// another. It goes on holding; Commit, Release and Fail are then about all that
// is held, [Committer.FailFirst] about the oldest.
func (c *Committer) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut()
}

// FailFirst makes the oldest batch that is held fail.
func (c *Committer) FailFirst(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut()
	if len(c.waiting) > 0 {
		c.ended = append(c.ended, ended{c.waiting[0].batch, nil, err})
		c.waiting = c.waiting[1:]
		c.batches++
		c.told()
	}
}

func (c *Committer) cut() {
	if c.open {
		c.waiting = append(c.waiting, ended{batch: c.batch, writes: c.writes})
		c.open, c.writes = false, nil
	}
}

// Batches is how many batches have been committed or have failed.
func (c *Committer) Batches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.batches
}

func (c *Committer) takeFail() error {
	err := c.fail
	c.fail = nil
	return err
}

// end ends all batches that are held; the lock is held.
func (c *Committer) end(err error) {
	c.cut()
	for _, e := range c.waiting {
		c.fail = nil
		e.err = err
		c.ended = append(c.ended, e)
		c.batches++
	}
	c.waiting = nil
	c.told()
}

func (c *Committer) told() {
	if len(c.ended) > 0 && !c.telling {
		c.telling = true
		go c.tell()
	}
}

// tell applies batches and tells that they have ended, on a goroutine of its own.
func (c *Committer) tell() {
	for {
		c.mu.Lock()
		if len(c.ended) == 0 {
			c.telling = false
			c.mu.Unlock()
			return
		}
		e := c.ended[0]
		c.ended = c.ended[1:]
		notify := c.notify
		c.mu.Unlock()
		if e.err == nil {
			e.err = apply(e.writes)
		}
		notify(e.batch, e.err)
	}
}

func apply(writes []mux.Write) error {
	for _, w := range writes {
		if err := w(context.Background(), nil); err != nil {
			return err
		}
	}
	return nil
}

// reset prepares for another mux; nothing may be going on.
func (c *Committer) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify, c.batch, c.open, c.writes, c.held, c.fail = nil, 0, false, nil, false, nil
}
