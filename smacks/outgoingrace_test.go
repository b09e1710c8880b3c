package smacks_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// counting is a peer that acknowledges what it gets when it is asked, on a goroutine of
// its own, until its connection breaks.
type counting struct {
	t     *testing.T
	asked chan int // how many stanzas it had got then
	got   int
	told  int // what it has acknowledged, its goroutine's
	ends  sync.Once
}

var errBreak = errors.New("broken pipe")

func (c *counting) Write(p []byte) error {
	c.got += bytes.Count(p, []byte("<message"))
	if c.got > 50 {
		return errBreak
	}
	if bytes.Contains(p, []byte(pushed)) {
		c.asked <- c.got
	}
	return nil
}

func (c *counting) Pending() int { return 0 }

func (c *counting) Close(err error) {
	if !errors.Is(err, errBreak) {
		c.t.Errorf("closed with %v", err)
	}
	c.end()
}

func (c *counting) end() { c.ends.Do(func() { close(c.asked) }) }

func (c *counting) serve(l *smacks.Link) {
	if _, err := l.Receive(parsed(c.t, enabledSM)); err != nil {
		c.t.Error(err)
	}
	for n := range c.asked {
		if _, err := l.Receive(parsed(c.t, ackOf(n))); err != nil && !errors.Is(err, errBreak) {
			c.t.Error(err)
		}
		c.told = n
	}
	l.Gone()
}

// Many send at once while streams break one after another: each stanza that was taken is
// acknowledged or comes back, once, and none that was refused does.
func TestOutgoingConcurrently(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 500
	var mu sync.Mutex
	back := make(map[string]int)
	out := smacks.NewOutgoing(func(it mux.Item, _ error) {
		mu.Lock()
		defer mu.Unlock()
		back[it.Stanza.ID()]++
	}, &smacks.OutgoingOptions{AskAfter: 3})
	told, done := make(chan int), make(chan struct{})
	go func() {
		total := 0
		for {
			select {
			case <-done:
				told <- total
				return
			default:
			}
			c := &counting{t: t, asked: make(chan int, 100)}
			l, err := out.Open(c, true)
			if err != nil {
				t.Error(err)
			}
			ended := make(chan struct{})
			go func() {
				c.serve(l)
				close(ended)
			}()
			select {
			case <-ended:
			case <-done:
				if err := l.Wait(t.Context()); err != nil && !errors.Is(err, mux.ErrClosed) {
					t.Error(err)
				}
				c.end()
				<-ended
			}
			total += c.told
		}
	}()
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for n := 0; n < each; {
				it := mux.Item{Stanza: parsed(t, fmt.Sprintf("<message to='b@example.org' id='%d.%d'/>", i, n))}
				switch err := out.Send(it); {
				case err == nil:
					n++
				case !errors.Is(err, smacks.ErrNoStream):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	close(done)
	acked := <-told
	out.Close()
	for id, n := range back {
		if n != 1 {
			t.Errorf("%s came back %d times", id, n)
		}
	}
	if acked+len(back) != senders*each {
		t.Errorf("%d acknowledged, %d came back, of %d", acked, len(back), senders*each)
	}
	if acked == 0 || len(back) == 0 {
		t.Errorf("%d acknowledged, %d came back: nothing was tested", acked, len(back))
	}
}
