//go:build clients

package clienttest

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// TestAcknowledgementsBetweenServers: XEP-0198 with Prosody, both ways. Ours sends over
// a stream of its own, and Prosody over another, each asks the other what it has got, and
// gets the right number.
func TestAcknowledgementsBetweenServers(t *testing.T) {
	ca := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := newFederated(t, ca)
	go s.accept(l)
	addr, x := prosody(t, ca, l.Addr().String())

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := s.dial(ctx, addr)
	if err != nil {
		t.Fatalf("%v\n%s", err, x.tail())
	}
	if !smacks.Offered(c.features) {
		t.Fatalf("not offered: %s", c.features.Append(nil, ""))
	}
	link, err := s.out.Open(c, true)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		err := c.read(func(el *mux.Stanza) error {
			_, err := link.Receive(el)
			s.note("out", el)
			return err
		})
		link.Gone()
		gone <- err
	}()

	// Prosody's first answer opens its stream, on which it enables stream management
	// behind that; what comes next is counted.
	for _, id := range []string{"1", "2", "3"} {
		s.say(t, "<iq type='get' id='"+id+"' to='"+theirDomain+"'><ping xmlns='urn:xmpp:ping'/></iq>")
		s.wait(t, x, "user", "<iq from='"+theirDomain+"' to='"+ourUser+"' type='result' id='"+id+"'/>")
		if id == "1" {
			s.wait(t, x, "in", "<enable xmlns='urn:xmpp:sm:3'/>")
		}
	}
	x.has(t, "#queue = 0 (acked: 1)")
	if err := link.Wait(ctx); err != nil {
		t.Errorf("%v\n%s", err, x.tail())
	}
	s.wait(t, x, "out", "<enabled xmlns='urn:xmpp:sm:3'/>")
	s.wait(t, x, "out", "<a xmlns='urn:xmpp:sm:3' h='3'/>")

	// After silence it asks, and asks again because it got an answer: else it would end the
	// stream.
	s.wait(t, x, "out", "<r xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/>")
	s.say(t, "<iq type='get' id='4' to='"+theirDomain+"'><ping xmlns='urn:xmpp:ping'/></iq>")
	s.wait(t, x, "user", "<iq from='"+theirDomain+"' to='"+ourUser+"' type='result' id='4'/>")
	if err := link.Wait(ctx); err != nil {
		t.Errorf("%v\n%s", err, x.tail())
	}

	c.Close(nil)
	select {
	case err := <-gone:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Errorf("Prosody does not end its stream\n%s", x.tail())
	}
	s.wait(t, x, "out", "<a xmlns='urn:xmpp:sm:3' h='4'/>")
	s.out.Close()
	if n := s.back(); n != 0 {
		t.Errorf("%d stanzas came back", n)
	}
}

const ourUser = "romeo@" + ourDomain + "/orchard"

// federated is a server with one user, just enough of one for another server.
type federated struct {
	m    *mux.Mux
	out  *smacks.Outgoing
	user *mux.Stream
	tls  *tls.Config

	mu      sync.Mutex
	changed chan struct{}
	seen    map[string]string
	bounced int
}

func newFederated(t *testing.T, ca *authority) *federated {
	t.Helper()
	s := &federated{changed: make(chan struct{}), seen: make(map[string]string)}
	s.tls = &tls.Config{Certificates: []tls.Certificate{ca.domain(t, ourDomain)}, RootCAs: ca.pool, ClientCAs: ca.pool,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: theirDomain}
	m, err := mux.New(s, nil, smacks.New(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
	s.out = smacks.NewOutgoing(func(it mux.Item, err error) {
		s.mu.Lock()
		s.bounced++
		s.mu.Unlock()
		m.Bounce(it, err)
	}, nil)
	s.user = m.NewStream(userConn{s}, mux.Client)
	a := mux.MustParseAddress(ourUser)
	s.user.SetAccount(a.Bare())
	if _, err := s.user.Bind(t.Context(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := m.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *federated) Local(domain string) bool { return domain == ourDomain }

func (s *federated) Account(mux.Address) (exists, known bool) { return true, true }

func (s *federated) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }

func (s *federated) Route(_ context.Context, it *mux.Item) error { return s.out.Send(*it) }

// say has the user say something.
func (s *federated) say(t *testing.T, raw string) {
	t.Helper()
	el, err := mux.Parse([]byte(raw))
	if err == nil {
		err = s.user.Receive(t.Context(), el)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.user.Flush()
}

// note keeps what was seen at a place.
func (s *federated) note(where string, el *mux.Stanza) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[where] += string(el.Append(nil, ""))
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until an element was seen at a place.
func (s *federated) wait(t *testing.T, x *console, where, element string) {
	t.Helper()
	late := time.After(limit)
	for {
		s.mu.Lock()
		all, changed := s.seen[where], s.changed
		s.mu.Unlock()
		if strings.Contains(all, element) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %s in %s\n%s", element, all, x.tail())
		}
	}
}

func (s *federated) back() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bounced
}

// userConn is the user's.
type userConn struct{ s *federated }

func (c userConn) Write(p []byte) error {
	el, err := mux.Parse(p)
	if err != nil {
		return err
	}
	c.s.note("user", el)
	return nil
}

func (userConn) Pending() int { return 0 }
func (userConn) Close(error)  {}

// s2sConn is a connection to or from the other server.
type s2sConn struct {
	conn     net.Conn
	dec      *xml.Decoder
	head     string // our stream header
	features *mux.Stanza
	mu       sync.Mutex
	closed   bool
}

func (c *s2sConn) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(limit)) // a closed connection fails anyway
	_, err := c.conn.Write(p)
	return err
}

func (c *s2sConn) Pending() int { return 0 }

func (c *s2sConn) Close(err error) {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	var se stream.Error
	switch {
	case closed:
	case err == nil || errors.As(err, &se):
		_ = c.Write([]byte("</stream:stream>")) // it may be broken
		time.AfterFunc(limit, func() { c.conn.Close() })
	default:
		c.conn.Close()
	}
}

// open sends a stream header, and waits for the other's; the server does that the other
// way round.
func (c *s2sConn) open(conn net.Conn, to string, first bool) error {
	c.conn, c.dec = conn, xml.NewDecoder(conn)
	c.head = fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='%s' to='%s' id='%d' version='1.0'>",
		ourDomain, to, time.Now().UnixNano())
	if first {
		if err := c.Write([]byte(c.head)); err != nil {
			return err
		}
	}
	for {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok && start.Name.Local == "stream" {
			break
		}
	}
	if first {
		return nil
	}
	return c.Write([]byte(c.head))
}

// next is the next element; io.EOF is the end of the stream.
func (c *s2sConn) next() (*mux.Stanza, error) {
	for {
		t, err := c.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil, io.EOF
		case xml.StartElement:
			return mux.FromTokens(t, c.dec)
		}
	}
}

// expect reads an element of that name.
func (c *s2sConn) expect(local string) (*mux.Stanza, error) {
	el, err := c.next()
	if err == nil && el.Name().Local != local {
		err = fmt.Errorf("no %s but %s", local, el.Append(nil, ""))
	}
	return el, err
}

// read gives elements to take until the stream ends.
func (c *s2sConn) read(take func(el *mux.Stanza) error) error {
	for {
		el, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = take(el)
		}
		if err != nil {
			return err
		}
	}
}

// dial negotiates a stream to the other server (RFC 6120 §9.2).
func (s *federated) dial(ctx context.Context, addr string) (*s2sConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := new(s2sConn)
	secure := tls.Client(conn, s.tls)
	for i, step := range []struct {
		over       net.Conn
		say, reply string
	}{
		{conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "proceed"},
		{secure, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", "success"},
		{secure, "", ""},
	} {
		if err := c.open(step.over, theirDomain, true); err != nil {
			return nil, fmt.Errorf("stream %d: %w", i, err)
		}
		if c.features, err = c.expect("features"); err != nil {
			return nil, fmt.Errorf("stream %d: %w", i, err)
		}
		if step.say == "" {
			break
		}
		if err := c.Write([]byte(step.say)); err != nil {
			return nil, err
		}
		if _, err := c.expect(step.reply); err != nil {
			return nil, fmt.Errorf("%w, with features %s", err, c.features.Append(nil, ""))
		}
	}
	return c, nil
}

// accept takes streams of the other server.
func (s *federated) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if err := s.serve(conn); err != nil {
				s.note("in", mux.Written("<broken why='"+strings.ReplaceAll(err.Error(), "'", "")+"'/>"))
			}
		}()
	}
}

func (s *federated) serve(conn net.Conn) error {
	c := new(s2sConn)
	secure := tls.Server(conn, s.tls)
	st := s.m.NewStream(c, mux.Server)
	for _, step := range []struct {
		over             net.Conn
		offers, owns, ok string
	}{
		{conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>", "starttls", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
		{secure, "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>", "auth", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
	} {
		if err := s.offer(c, step.over, step.offers); err != nil {
			return err
		}
		if _, err := c.expect(step.owns); err != nil {
			return err
		}
		if err := c.Write([]byte(step.ok)); err != nil {
			return err
		}
	}
	st.SetState(mux.Secure)
	st.Authorize(secure.ConnectionState().PeerCertificates[0].DNSNames[0])
	offered, err := s.features(st)
	if err == nil {
		err = s.offer(c, secure, offered)
	}
	if err != nil {
		return err
	}
	err = c.read(func(el *mux.Stanza) error {
		s.note("in", el)
		err := st.Receive(context.Background(), el)
		st.Flush()
		return err
	})
	st.Gone(err == nil)
	c.Close(err)
	return err
}

// features are those that the kernel offers a server.
func (s *federated) features(st *mux.Stream) (all string, err error) {
	for _, f := range s.m.Features() {
		if state := st.State(); f.List == nil || state&f.Needs != f.Needs || state&f.Forbids != 0 {
			continue
		}
		if p := f.List(context.Background(), st); p != nil {
			c, err := mux.NewChild(p)
			if err != nil {
				return "", err
			}
			all += c.Raw()
		}
	}
	return all, nil
}

func (s *federated) offer(c *s2sConn, over net.Conn, features string) error {
	if err := c.open(over, theirDomain, false); err != nil {
		return err
	}
	return c.Write([]byte("<stream:features>" + features + "</stream:features>"))
}
