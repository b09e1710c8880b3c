package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/server"
)

// toy is an extension made of a function.
type toy func(r *mux.Registry)

func (toy) Name() string { return "toy" }

func (f toy) Register(r *mux.Registry) error {
	f(r)
	return nil
}

// keeps lets sessions with the resource kept be resumed.
func keeps(r *mux.Registry) {
	r.Lifecycle(mux.Lifecycle{Detached: func(s *mux.Session) time.Duration {
		if s.JID().Resource() == "kept" {
			return time.Hour
		}
		return 0
	}})
}

// gate holds messages that say stop until it is opened.
type gate struct {
	reached, opened chan struct{}
	once            sync.Once
}

func newGate(t *testing.T) *gate {
	g := &gate{reached: make(chan struct{}, 10), opened: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) register(r *mux.Registry) {
	r.Guard(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if strings.Contains(string(e.Stanza.Append(nil, "")), "stop") {
			g.reached <- struct{}{}
			<-g.opened
		}
		return mux.Pass, nil
	}, mux.Blocks())
}

func (s *site) shutdown(limit time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	return done
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	g, saved := newGate(t), new(mux.MemorySessions)
	s := open(t, func(o *server.Options) { o.Mux.Sessions = saved }, toy(func(r *mux.Registry) {
		keeps(r)
		g.register(r)
	}))
	romeo, juliet, kept := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b"), enter(t, s, "mercutio", "kept")
	fresh, halfway := dial(t, s.clear), beforeAuth(t, s)
	send, want := message(romeo.jid, juliet.jid, "stop")
	romeo.send(send)
	await(t, g.reached, "the message in progress")

	down := s.shutdown(patience)
	s.served(t) // nobody is accepted any more
	for _, addr := range []string{s.clear, s.direct} {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Error("a connection was accepted")
		}
	}
	select {
	case err := <-down:
		t.Fatalf("shutdown did not wait for what is in progress: %v", err)
	default:
	}
	late, early := message(juliet.jid, romeo.jid, "too late")
	juliet.send(late)
	g.open()
	juliet.expect(want)
	if got := romeo.next(); got == early { // juliet was read once more
		romeo.expect(streamError("system-shutdown", ""))
	} else if got != streamError("system-shutdown", "") {
		t.Errorf("got %s", got)
	}
	romeo.expect(closing, end)
	for _, c := range []*client{juliet, halfway} {
		c.streamError("system-shutdown")
	}
	fresh.expect(end)
	kept.expect(end)
	must(t, await(t, down, "shutdown"))
	if err := s.Serve(nil); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve after Shutdown = %v", err)
	}

	list, err := saved.Load(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].JID.String() != kept.jid {
		t.Fatalf("saved %v, want the one of %s", list, kept.jid)
	}
	next := open(t, func(o *server.Options) { o.Mux.Sessions = saved }, toy(keeps))
	sessions := next.Mux().Sessions(mux.MustParseAddress("mercutio@example.net"))
	if len(sessions) != 1 || sessions[0].State() != mux.Hibernating || sessions[0].ID().String() != list[0].ID {
		t.Errorf("restored %v", sessions)
	}
}

// TestShutdownTwice: a second call waits for the first.
func TestShutdownTwice(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := open(t, nil, toy(g.register))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	send, want := message(romeo.jid, juliet.jid, "stop")
	romeo.send(send)
	await(t, g.reached, "the message in progress")
	first := s.shutdown(patience)
	s.served(t)
	hasty := await(t, s.shutdown(time.Millisecond), "a second shutdown in haste")
	if !errors.Is(hasty, server.ErrClosed) || !errors.Is(hasty, context.DeadlineExceeded) {
		t.Errorf("a second shutdown in haste: %v", hasty)
	}
	second := s.shutdown(patience)
	g.open()
	juliet.expect(want)
	juliet.streamError("system-shutdown")
	romeo.streamError("system-shutdown")
	must(t, await(t, first, "shutdown"))
	if err := await(t, second, "the second shutdown"); !errors.Is(err, server.ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second shutdown: %v", err)
	}
}

// TestShutdownCutShort: what does not end in time is left.
func TestShutdownCutShort(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	s := open(t, nil, toy(g.register))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	send, _ := message(romeo.jid, juliet.jid, "stop")
	romeo.send(send)
	await(t, g.reached, "the message in progress")
	if err := await(t, s.shutdown(200*time.Millisecond), "shutdown"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	for _, c := range []*client{romeo, juliet} {
		for c.next() != end {
		}
	}
	g.open()
}

// TestShutdownDeaf: neither peers that do not read nor such that do not close
// hold a shutdown up.
func TestShutdownDeaf(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.WriteStall = time.Hour }))
	romeo, deaf := enter(t, s, "romeo", "a"), enterDeaf(t, s, "deaf")
	flood(romeo, deaf, 2<<20, nil)
	must(t, await(t, s.shutdown(patience), "shutdown"))
	romeo.streamError("system-shutdown")
	if n := s.events.sessions.Load(); n != 0 {
		t.Errorf("%d sessions counted", n)
	}
	if n := s.events.connections.Load(); n != 0 {
		t.Errorf("%d connections counted", n)
	}
}
