package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/smacks"
)

const (
	juliet = "juliet@example.net/balcony"
	romeo  = "romeo@example.net/orchard"
)

// site is a server in memory, whose stores outlive it.
type site struct {
	t        *testing.T
	sessions mux.MemorySessions
	store    smacks.Memory
	opt      smacks.Options

	mu    sync.Mutex
	host  *muxtest.Host
	x     *smacks.Extension
	n     *negotiate.Negotiator
	down  bool
	conns int
	cut   cut
	peers []net.Conn
}

// cut says where a connection breaks: after so many bytes that the client has read
// or written.
type cut struct {
	conn    int // which one, from 1; 0 for none
	writing bool
	after   int
}

func newSite(t *testing.T, c cut) *site {
	s := &site{t: t, cut: c}
	s.open()
	return s
}

// open opens a host; what one that there was has in memory is lost.
func (s *site) open() {
	h := muxtest.NewHost(s.t)
	h.AddAccount("romeo@example.net", "juliet@example.net")
	x := smacks.New(&s.store, &s.opt)
	h.Open(&mux.Options{Sessions: &s.sessions, Committer: new(muxtest.Committer)}, negotiate.Extension(), x)
	s.serve(h, x)
}

// serve has connections lead to a host.
func (s *site) serve(h *muxtest.Host, x *smacks.Extension) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host, s.x = h, x
	s.n = negotiate.New(h.Mux(), &negotiate.Options{SASL: plain{}, Domains: func() []string { return []string{"example.net"} }})
}

// restart restarts the host as an operator does.
func (s *site) restart() {
	x := smacks.New(&s.store, &s.opt)
	s.host.Restart(negotiate.Extension(), x)
	s.serve(s.host, x)
}

// plain has PLAIN with any password.
type plain struct{}

func (plain) Mechanisms(*mux.Stream) []string { return []string{"PLAIN"} }

func (plain) Start(_ *mux.Stream, _, domain string) (negotiate.Exchange, error) {
	return &exchange{domain: domain}, nil
}

type exchange struct{ domain, account string }

func (x *exchange) Step(_ context.Context, in []byte) ([]byte, bool, error) {
	parts := strings.Split(string(in), "\x00")
	if len(parts) != 3 {
		return nil, false, errors.New("no credentials")
	}
	x.account = parts[1] + "@" + x.domain
	return nil, true, nil
}

func (x *exchange) Account() string { return x.account }

// dial is a connection to the host there is.
func (s *site) dial(context.Context, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("no server")
	}
	ours, theirs := net.Pipe()
	s.conns++
	s.peers = append(s.peers, theirs)
	t := negotiate.NewConnTransport(theirs, &negotiate.ConnOptions{Trusted: true})
	st := s.host.Mux().NewStream(t, mux.Client)
	n := s.n
	go func() {
		defer t.Finish()
		if err := n.Serve(context.Background(), st, t); err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), st) // that of the peer's end
	}()
	c := &wire{Conn: ours, read: -1, write: -1}
	if s.cut.conn == s.conns {
		if s.cut.writing {
			c.write = s.cut.after
		} else {
			c.read = s.cut.after
		}
	}
	return c, nil
}

// pull breaks all connections.
func (s *site) pull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.peers {
		_ = c.Close() // it may be closed
	}
	s.peers = nil
}

// wire breaks after so many bytes in one direction; below zero never.
type wire struct {
	net.Conn
	mu          sync.Mutex
	read, write int
	in, out     int
}

var errCut = errors.New("cut")

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	left := w.read
	w.mu.Unlock()
	if left == 0 {
		_ = w.Close() // it is broken
		return 0, errCut
	}
	if left > 0 {
		p = p[:min(left, len(p))]
	}
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in += n
	if w.read > 0 {
		w.read -= n
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	left := w.write
	w.mu.Unlock()
	if left >= 0 && left <= len(p) {
		n, _ := w.Conn.Write(p[:left]) // then it breaks
		w.mu.Lock()
		w.write, w.out = 0, w.out+n
		w.mu.Unlock()
		_ = w.Close() // it is broken
		return n, errCut
	}
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out += n
	if w.write > 0 {
		w.write -= n
	}
	return n, err
}

// options are those of a client of the site.
func (s *site) options() *smacks.ClientOptions {
	f := xmpp.SASL("", "secret", sasl.Plain)
	f.Necessary = 0 // the test's connection is not secure
	return &smacks.ClientOptions{Dial: s.dial, Features: []xmpp.StreamFeature{f}}
}

func address(text string) jid.JID { return jid.MustParse(text) }

// counting notes the connections that are made.
func counting(dial func(context.Context, string) (net.Conn, error), wires *[]*wire) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, location string) (net.Conn, error) {
		c, err := dial(ctx, location)
		if w, ok := c.(*wire); ok {
			*wires = append(*wires, w)
		}
		return c, err
	}
}
