package smacks_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// line is a connection to another server that notes what is written.
type line struct {
	mu     sync.Mutex // guards what follows
	fail   error      // of every Write
	got    []string   // one for each Write
	closed []error
	paused bool
}

func (c *line) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	c.got = append(c.got, string(p))
	return nil
}

func (c *line) Pending() int { return 0 }

func (c *line) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = append(c.closed, err)
}

func (c *line) Paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// breaks has every later Write fail.
func (c *line) breaks() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = errors.New("broken pipe")
}

func (c *line) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
}

// ends are the errors it was closed with.
func (c *line) ends() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// take is what was written since.
func (c *line) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.got, "|")
	c.got = nil
	return s
}

// sender is an Outgoing under test, and what it has given up.
type sender struct {
	*smacks.Outgoing
	t *testing.T
	l *smacks.Link
	c *line
	n int

	mu   sync.Mutex
	back []string
}

func newSender(t *testing.T, o *smacks.OutgoingOptions) *sender {
	s := &sender{t: t}
	s.Outgoing = smacks.NewOutgoing(func(it mux.Item, err error) {
		var se stanza.Error
		if !errors.As(err, &se) || se.Condition != stanza.RemoteServerTimeout || se.Type != stanza.Wait {
			t.Errorf("given up with %v", err)
		}
		s.gave(it)
	}, o)
	t.Cleanup(s.Close)
	return s
}

// gave notes what was given up.
func (s *sender) gave(it mux.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back = append(s.back, it.Stanza.ID())
}

func (s *sender) open(offered bool) {
	s.t.Helper()
	s.c = new(line)
	var err error
	if s.l, err = s.Open(s.c, offered); err != nil {
		s.t.Fatal(err)
	}
}

// up opens a stream, on which the peer counts, and sends a first stanza on it.
func up(t *testing.T, o *smacks.OutgoingOptions) *sender {
	s := newSender(t, o)
	s.open(true)
	s.hear(enabledSM)
	s.c.take()
	return s
}

func parsed(t *testing.T, raw string) *mux.Stanza {
	t.Helper()
	el, err := mux.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return el
}

// hear takes what the peer says.
func (s *sender) hear(elements ...string) (err error) {
	s.t.Helper()
	for _, raw := range elements {
		mine, e := s.l.Receive(parsed(s.t, raw))
		if !mine {
			s.t.Errorf("%s is not taken", raw)
		}
		err = errors.Join(err, e)
	}
	return err
}

// note is a message, numbered by its id.
func (s *sender) note() mux.Item {
	s.n++
	return mux.Item{Stanza: parsed(s.t, fmt.Sprintf("<message from='a@example.net' to='b@example.org' id='%d'/>", s.n))}
}

func (s *sender) send(n int) {
	s.t.Helper()
	for range n {
		if err := s.Send(s.note()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sender) expectBack(ids ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.back, ids) {
		s.t.Errorf("given up: %v, not %v", s.back, ids)
	}
	s.back = nil
}

func wire(ids ...int) (s string) {
	for _, id := range ids {
		s += fmt.Sprintf("<message from='a@example.net' to='b@example.org' id='%d'/>", id)
	}
	return s
}

const pushed = "<r xmlns='urn:xmpp:sm:3'/>"
