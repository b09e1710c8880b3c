package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/server"
)

// gulps is a connection that takes as much as there is, and counts how often.
type gulps struct {
	net.Conn
	from *bufio.Reader
	n    atomic.Int64
}

func gulping(c net.Conn) *gulps {
	g := &gulps{Conn: c}
	g.from = bufio.NewReaderSize(counted{g}, 64<<10)
	return g
}

func (g *gulps) Read(p []byte) (int, error) { return g.from.Read(p) }

type counted struct{ g *gulps }

func (c counted) Read(p []byte) (int, error) {
	n, err := c.g.Conn.Read(p)
	c.g.n.Add(1)
	return n, err
}

// TestOnePiece: what answers a flight goes out in one piece, with the session
// tickets of TLS 1.3 before it, which nobody has waited for; so do the end of the
// stream and that of TLS.
func TestOnePiece(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			c := dial(t, s.direct)
			g := gulping(c.tcp)
			config := &tls.Config{InsecureSkipVerify: true, ServerName: domain, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			secured := tls.Client(g, config)
			must(t, secured.Handshake())
			c.conn = secured
			before := g.n.Load()
			c.send(header + authElement("romeo", "secret"))
			c.header()
			c.next() // features
			c.expect("<success xmlns='" + nsSASL + "'/>")
			if n := g.n.Load() - before; n != 1 {
				t.Errorf("the answer came in %d pieces, want 1", n)
			}
			if _, ok := config.ClientSessionCache.Get(domain); !ok {
				t.Error("no session ticket")
			}
			c.restart()
			before = g.n.Load()
			c.send(header + bindIQ)
			c.header()
			c.next()
			c.bound()
			if n := g.n.Load() - before; n != 1 {
				t.Errorf("the session came in %d pieces, want 1", n)
			}
			c.alive()
			before = g.n.Load()
			c.send(closing)
			c.expect(closing, end)
			if n := g.n.Load() - before; n != 1 {
				t.Errorf("the end came in %d pieces, want 1", n)
			}
		})
	}
}

// many has a long list of mechanisms.
type many struct{ people }

func (many) Mechanisms(*mux.Stream) []string {
	return slices.Repeat([]string{"X-EXAMPLE", "PLAIN"}, 100)
}

// TestOneRecord: what is longer than a packet is one TLS record all the same, from
// the beginning.
func TestOneRecord(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *server.Options) { o.SASL = many{} })
	c := dialTLS(t, s)
	c.send(header)
	record := make([]byte, 16<<10) // TLS gives one at a time
	n, err := c.conn.Read(record)
	must(t, err)
	if got := string(record[:n]); !strings.HasSuffix(got, "</stream:features>") {
		t.Errorf("the first record has %d octets, want all features", n)
	}
}

// TestLineFeeds: a client that ends each of its lines, and does not wait for answers:
// the line feed behind auth is not part of the stream that begins then.
func TestLineFeeds(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := dialTLS(t, s)
	c.send(header + "\n" + authElement("romeo", "secret") + "\n" + header + "\n" + bindIQ + "\n")
	c.header()
	c.next() // features
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	c.header()
	c.next()
	c.bound()
	c.alive()
}

// TestHalfElement: who has sent half an element may want to see what came before it
// answered.
func TestHalfElement(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for name, c := range map[string]*client{"clear": dial(t, s.clear), "tls": dialTLS(t, s)} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			c.send(header + "<iq type='get' ")
			c.header()
			if got := c.next(); !strings.HasPrefix(got, "<stream:features>") {
				t.Errorf("got %s, want features", got)
			}
		})
	}
}

// TestShutdownInHandshake: a TLS handshake that goes nowhere does not hold a
// shutdown up.
func TestShutdownInHandshake(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	enter(t, s, "romeo", "")
	c := dial(t, s.direct)
	for s.events.connections.Load() < 2 {
		runtime.Gosched() // accepted, not only connected
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, s.Shutdown(ctx))
	c.expect(end)
}

// TestManyAtTheEnd: more than is held back at a time goes out before the end.
func TestManyAtTheEnd(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	c := enter(t, s, "romeo", "a")
	const n = 400
	c.send(strings.Repeat("<iq type='get' id='a' to='"+domain+"'><query xmlns='urn:example:unknown'/></iq>", n) + closing)
	for i := range n {
		if got := c.next(); !strings.HasPrefix(got, "<iq ") {
			t.Fatalf("got %s as answer %d", got, i)
		}
	}
	c.expect(closing, end)
}
