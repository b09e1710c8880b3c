package server_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/server"
	"github.com/propolis-im/propolis/smacks"
)

// TestNegotiationTimeout: a peer has only so long to get a session, whatever it
// does meanwhile.
func TestNegotiationTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.Negotiation = 3 * time.Second }))
	tests := []struct {
		name  string
		phase phase
		send  string
	}{
		{"silence", inClear, ""},
		{"half a header", inClear, header[:70]},
		{"silence in TLS", inTLS, ""},
		{"silence before authentication", beforeAuth, ""},
		{"half an element", beforeAuth, "<auth xmlns="},
		{"silence before bind", beforeBind, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.phase(t, s)
			c.send(tt.send)
			got := c.next()
			if strings.HasPrefix(got, "<?xml") {
				got = c.next()
			}
			if want := streamError("connection-timeout", ""); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			c.expect(closing, end)
		})
	}
	t.Run("white space for ever", func(t *testing.T) {
		t.Parallel()
		c := beforeAuth(t, s)
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for {
				if _, err := c.conn.Write([]byte("    ")); err != nil {
					return
				}
			}
		}()
		c.expect(streamError("connection-timeout", ""))
		_ = c.tcp.Close()
		await(t, stop, "the writer")
	})
}

// TestNegotiationAfterHandshake: what a handshake has taken is not missing
// afterwards.
func TestNegotiationAfterHandshake(t *testing.T) {
	t.Parallel()
	const limit = 4 * time.Second
	s := open(t, limited(func(l *server.Limits) { l.Negotiation = limit }))
	c := dial(t, s.direct)
	<-time.After(limit / 2)
	c.secure(domain, "xmpp-client")
	start := time.Now()
	c.send(header)
	c.header()
	c.next() // features
	c.expect(streamError("connection-timeout", ""), closing, end)
	if took := time.Since(start); took < limit {
		t.Errorf("the stream ended after %v, want %v", took, limit)
	}
}

func TestTLSHandshakeTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.Negotiation = 3 * time.Second }))
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s.direct)
		c.send("\x16\x03\x01\x02")
		c.expect(end)
	})
	t.Run("STARTTLS", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s.clear)
		c.features()
		c.send(startTLS)
		c.expect(proceed, end)
	})
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		c := dial(t, s.direct)
		c.send(header)
		c.restart()
		if _, err := c.conn.Read(make([]byte, 100)); err == nil {
			// An alert, and then the end.
			for err == nil {
				_, err = c.conn.Read(make([]byte, 100))
			}
		}
	})
}

// answer is what a client may say to a probe.
func (c *client) probed(answer string) {
	c.t.Helper()
	got := c.next()
	if !strings.HasPrefix(got, "<iq from='example.net' to='"+c.jid+"' type='get' id='") || !strings.Contains(got, "<ping xmlns='urn:xmpp:ping'/>") {
		c.t.Fatalf("got %s, want a ping", got)
	}
	_, id, _ := strings.Cut(got, "id='")
	id, _, _ = strings.Cut(id, "'")
	if answer != "" {
		c.send(strings.Replace(answer, "ID", id, 1))
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		s := open(t, limited(func(l *server.Limits) { l.Idle, l.Probe = 100*time.Millisecond, 200*time.Millisecond }))
		c := enter(t, s, "romeo", "a")
		c.probed("")
		c.streamError("connection-timeout")
	})
	answers := map[string]string{
		"result":      "<iq type='result' id='ID' to='example.net'/>",
		"error":       "<iq type='error' id='ID' to='example.net'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		"white space": " ",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, limited(func(l *server.Limits) { l.Idle, l.Probe = 50*time.Millisecond, patience }))
			c := enter(t, s, "romeo", "a")
			for range 4 {
				c.probed(answer)
			}
		})
	}
}

// TestIdleManaged: a silent client under stream management is asked to acknowledge, in
// place of a ping. While it answers it stays; when it does not its connection ends without
// a word, so that its session can be resumed (smacks SM-42, SM-44; core-im LC-22).
func TestIdleManaged(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.Idle, l.Probe = 100*time.Millisecond, 3*time.Second }), smacks.New(nil, nil))
	c := enter(t, s, "romeo", "a")
	c.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	_, token, _ := strings.Cut(c.next(), " id='")
	token, _, ok := strings.Cut(token, "'")
	if !ok {
		t.Fatal("no token")
	}
	const question = "<r xmlns='urn:xmpp:sm:3'/>"
	for range 3 {
		c.expect(question)
		c.send("<a xmlns='urn:xmpp:sm:3' h='0'/>")
	}
	c.expect(question)
	start := time.Now()
	c.expect(end)
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("given up after %v", took)
	}
	again := dialTLS(t, s)
	again.login("romeo")
	again.send("<resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='0'/>")
	again.expect("<resumed xmlns='urn:xmpp:sm:3' previd='" + token + "' h='0'/>")
}

// TestIdleStandsStill: while a client is left unread its silence is not its own.
func TestIdleStandsStill(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) {
		l.Idle, l.Probe, l.BytesPerSecond, l.BytesBurst = time.Second, time.Second, 150, 100 // it is left for four
	}))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	send, _ := message(romeo.jid, juliet.jid, strings.Repeat("x", 600))
	romeo.send(send + "<iq type='get' id='last' to='example.net'><x xmlns='urn:example:unknown'/></iq>")
	for {
		got := romeo.next()
		if strings.Contains(got, "id='last'") {
			return
		}
		if !strings.Contains(got, "<ping ") { // from before
			t.Fatalf("got %s", got)
		}
	}
}

// TestWriteStall: a peer that does not read is given up, and nobody else notices.
func TestWriteStall(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.WriteStall = 300 * time.Millisecond }))
	deaf := enterDeaf(t, s, "deaf")
	romeo, juliet, mercutio := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b"), enter(t, s, "mercutio", "c")
	flood(romeo, deaf, 100<<20, func() { juliet.says(mercutio, "do you hear this?") })
	deaf.drained(t)
}

// TestWriteBuffer: what one peer may leave unread is bounded.
func TestWriteBuffer(t *testing.T) {
	t.Parallel()
	s := open(t, limited(func(l *server.Limits) { l.WriteStall, l.WriteBuffer = time.Hour, 256<<10 }))
	deaf := enterDeaf(t, s, "deaf")
	romeo := enter(t, s, "romeo", "a")
	if n := flood(romeo, deaf, 100<<20, nil); n < 256<<10 {
		t.Errorf("cut after %d bytes", n)
	}
	deaf.drained(t)
}

// TestWriteBuffers: so is what all may together.
func TestWriteBuffers(t *testing.T) {
	t.Parallel()
	const one = 64 << 20
	s := open(t, limited(func(l *server.Limits) { l.WriteStall, l.WriteBuffer, l.WriteBuffers = time.Hour, one, 1<<20 }))
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	for _, name := range []string{"deaf1", "deaf2", "deaf3"} {
		if n := flood(romeo, enterDeaf(t, s, name), one, nil); n >= one {
			t.Errorf("%s took %d bytes", name, n)
		}
		romeo.says(juliet, "hello")
	}
}

// enterDeaf is a client whose kernel keeps little for it, and that does not read.
func enterDeaf(t testing.TB, s *site, user string) *client {
	t.Helper()
	c := dial(t, s.direct)
	must(t, c.tcp.(*net.TCPConn).SetReadBuffer(4<<10))
	c.secure(domain)
	c.login(user)
	c.bind("x")
	return c
}

// drained reads what is left until the connection ends.
func (c *client) drained(t testing.TB) {
	t.Helper()
	must(t, c.tcp.SetReadDeadline(time.Now().Add(patience)))
	must(t, c.tcp.(*net.TCPConn).SetReadBuffer(4<<20)) // what the kernel has for us may be much
	for buf := make([]byte, 64<<10); ; {
		if _, err := c.conn.Read(buf); err != nil {
			if !gone(err) {
				t.Errorf("still there: %v", err)
			}
			return
		}
	}
}

// flood sends messages until one comes back, or most bytes were sent, and returns how
// many were. between is called now and then.
func flood(from, to *client, most int, between func()) (sent int) {
	from.t.Helper()
	send, _ := message(from.jid, to.jid, strings.Repeat("x", 32<<10))
	for n := 0; sent < most; n++ {
		from.send(send + "<iq type='get' id='sync' to='example.net'><x xmlns='urn:example:unknown'/></iq>")
		sent += len(send)
		back := false
		for {
			got := from.next()
			if strings.Contains(got, "id='sync'") {
				break
			}
			if !strings.HasPrefix(got, "<message ") || !strings.Contains(got, "type='error'") {
				from.t.Fatalf("got %.200s", got)
			}
			back = true
		}
		if back {
			return sent
		}
		if between != nil && n%16 == 0 {
			between()
		}
	}
	return sent
}
