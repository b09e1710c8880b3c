package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/server"
)

const roomsDomain = "chat.example.net"

// rooms is a component that needs no secret. What is sent to it goes to its
// stream, gates and all being the affair of package component.
type rooms struct {
	mu       sync.Mutex
	st       *mux.Stream
	drained  chan struct{}
	detached chan *mux.Stream
}

func (c *rooms) Name() string { return "rooms" }

func (c *rooms) Register(r *mux.Registry) error {
	r.Entity(roomsDomain, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return mux.Done, c.st.Conn().Write(e.Item.Append(nil, ""))
	})
	return nil
}

func (c *rooms) Known(domain string) bool { return domain == roomsDomain }

func (c *rooms) Verify(string, string, string) bool { return true }

func (c *rooms) Attach(st *mux.Stream, _ string, ready func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.st = st
	return ready()
}

func (c *rooms) Drained(*mux.Stream) {
	select {
	case c.drained <- struct{}{}:
	default:
	}
}

func (c *rooms) Detach(st *mux.Stream) { c.detached <- st }

// openRooms is a server with a component and the address it connects to.
func openRooms(t *testing.T) (*site, *rooms, string) {
	t.Helper()
	c := &rooms{drained: make(chan struct{}, 1), detached: make(chan *mux.Stream, 10)}
	s := open(t, func(o *server.Options) { o.Components = c }, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.ServeComponents(tight{l}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, server.ErrClosed) {
			t.Errorf("shutdown: %v", err)
		}
		if err := await(t, done, "the end of ServeComponents"); !errors.Is(err, server.ErrClosed) {
			t.Errorf("ServeComponents = %v, want ErrClosed", err)
		}
	})
	return s, c, l.Addr().String()
}

// attach connects the component.
func attach(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='" + roomsDomain + "'>")
	want := "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='" + roomsDomain + "'>"
	if got := c.header(); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	c.send("<handshake>x</handshake>")
	c.expect("<handshake/>")
	return c
}

// TestComponent: stanzas go both ways, in the namespace of each stream, up to the
// size that components may send (core-im XS-14, LIM-3).
func TestComponent(t *testing.T) {
	t.Parallel()
	s, _, addr := openRooms(t)
	chat, romeo := attach(t, addr), enter(t, s, "romeo", "orchard")
	romeo.send("<message to='room@" + roomsDomain + "' id='1'><body>x</body><f xmlns='urn:example:f'><message xmlns='jabber:client'/></f></message>")
	chat.expect("<message from='" + romeo.jid + "' to='room@" + roomsDomain + "' id='1'><body>x</body><f xmlns='urn:example:f'><message xmlns='jabber:client'/></f></message>")
	body := strings.Repeat("x", 400<<10)
	chat.send("<message from='room@" + roomsDomain + "' to='" + romeo.jid + "' id='2'><body>" + body + "</body><f xmlns='urn:example:f'><message xmlns='jabber:component:accept'/></f></message>")
	romeo.expect("<message from='room@" + roomsDomain + "' to='" + romeo.jid + "' id='2'><body>" + body + "</body><f xmlns='urn:example:f'><message xmlns='jabber:client'/></f></message>")
	chat.send("<message from='" + roomsDomain + "' to='" + romeo.jid + "'><body>" + strings.Repeat("x", 513<<10))
	chat.expect(streamError("policy-violation", tooBig), closing, end)
	romeo.alive()
}

// TestComponentEnds: whatever way a component goes, it is detached once, and its
// clients stay.
func TestComponentEnds(t *testing.T) {
	t.Parallel()
	s, c, addr := openRooms(t)
	romeo := enter(t, s, "romeo", "orchard")
	for name, end := range map[string]func(chat *client){
		"closes": func(chat *client) { chat.send(closing); chat.expect(closing) },
		"breaks": func(chat *client) { must(t, chat.tcp.Close()) },
		"forges": func(chat *client) {
			chat.send("<message from='" + romeo.jid + "' to='" + romeo.jid + "'/>")
			chat.streamError("invalid-from")
		},
		"no address":   func(chat *client) { chat.send("<message/>"); chat.streamError("improper-addressing") },
		"no stanza":    func(chat *client) { chat.send("<handshake>x</handshake>"); chat.streamError("unsupported-stanza-type") },
		"bad XML":      func(chat *client) { chat.send("<message></iq>"); chat.streamError("not-well-formed") },
		"character":    func(chat *client) { chat.send("x"); chat.streamError("bad-format") },
		"is no client": func(chat *client) { chat.send(bindIQ); chat.streamError("improper-addressing") },
	} {
		chat := attach(t, addr)
		c.mu.Lock()
		st := c.st
		c.mu.Unlock()
		end(chat)
		if got := await(t, c.detached, name+": detached"); got != st {
			t.Errorf("%s: another stream was detached", name)
		}
	}
	romeo.alive()
	if n := len(c.detached); n > 0 {
		t.Errorf("%d were detached twice", n)
	}
	// One that never says who it is.
	x := dial(t, addr)
	x.send(header)
	x.header()
	x.streamError("invalid-namespace")
	await(t, c.detached, "detached")
}

// TestComponentDrained: who writes to it learns that it reads again, and how much
// it has.
func TestComponentDrained(t *testing.T) {
	t.Parallel()
	_, c, addr := openRooms(t)
	chat := attach(t, addr)
	conn := c.st.Conn()
	part := []byte("<message><body>" + strings.Repeat("x", 64<<10) + "</body></message>")
	n := 0
	for conn.Pending() == 0 {
		must(t, conn.Write(part))
		n++
	}
	for range n {
		chat.expect(string(part))
	}
	await(t, c.drained, "that it is drained")
	counter, ok := conn.(interface{ Sent() uint64 })
	if !ok || counter.Sent() < uint64(n*len(part)) {
		t.Errorf("counts: %t, less than was sent", ok)
	}
}

// TestComponentShutdown: core-im GS-1.
func TestComponentShutdown(t *testing.T) {
	t.Parallel()
	s, _, addr := openRooms(t)
	chat := attach(t, addr)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	chat.streamError("system-shutdown")
	must(t, await(t, done, "the end of Shutdown"))
}

func TestNoComponents(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if err := s.ServeComponents(l); err == nil {
		t.Error("no error")
	}
	must(t, l.Close())
}
