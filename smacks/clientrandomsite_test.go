package smacks_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/ping"
	"github.com/propolis-im/propolis/smacks"
)

// anyPassword has PLAIN with any password.
type anyPassword struct{}

func (anyPassword) Mechanisms(*mux.Stream) []string { return []string{"PLAIN"} }

func (anyPassword) Start(_ *mux.Stream, _, domain string) (negotiate.Exchange, error) {
	return &anyExchange{domain: domain}, nil
}

type anyExchange struct{ domain, account string }

func (x *anyExchange) Step(_ context.Context, in []byte) ([]byte, bool, error) {
	parts := strings.Split(string(in), "\x00")
	if len(parts) != 3 {
		return nil, false, errors.New("no credentials")
	}
	x.account = parts[1] + "@" + x.domain
	return nil, true, nil
}

func (x *anyExchange) Account() string { return x.account }

// weather is a real server behind a network that breaks in many ways, by chance.
type weather struct {
	t    *testing.T
	host *muxtest.Host
	x    *smacks.Extension
	n    *negotiate.Negotiator
	log  *lockedLog

	mu    sync.Mutex
	rnd   *rand.Rand
	fair  bool // nothing breaks any more
	conns []*badConn
	every []*badConn // there was
}

// lockedLog is what was logged.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all of it.
func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func newWeather(t *testing.T, rnd *rand.Rand) *weather {
	w := &weather{t: t, rnd: rnd, log: new(lockedLog), host: muxtest.NewHost(t)}
	w.host.AddAccount("romeo@example.net", "juliet@example.net")
	w.x = smacks.New(new(smacks.Memory), &smacks.Options{Window: 40 * time.Second, Logger: w.log.logger()})
	w.host.Open(&mux.Options{Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, negotiate.Extension(), w.x, ping.New())
	w.n = negotiate.New(w.host.Mux(), &negotiate.Options{SASL: anyPassword{}, Domains: func() []string { return []string{"example.net"} }})
	return w
}

func (w *weather) features() []xmpp.StreamFeature {
	f := xmpp.SASL("", "secret", sasl.Plain)
	f.Necessary = 0 // the test's connection is not secure
	return []xmpp.StreamFeature{f}
}

// dial is a connection to the server, or none, or one that will break.
func (w *weather) dial(ctx context.Context, _ string) (net.Conn, error) {
	w.mu.Lock()
	bad, wait := 6, time.Duration(0)
	if !w.fair {
		bad, wait = w.rnd.IntN(12), time.Duration(w.rnd.IntN(300))*time.Millisecond
	}
	if bad == 0 {
		wait = time.Hour
	}
	w.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if bad == 1 || bad == 2 {
		return nil, errors.New("no network")
	}
	ours, theirs := net.Pipe()
	t := negotiate.NewConnTransport(theirs, &negotiate.ConnOptions{Trusted: true})
	st := w.host.Mux().NewStream(t, mux.Client)
	go func() {
		defer t.Finish()
		if err := w.n.Serve(context.Background(), st, t); err != nil {
			st.Gone(errors.Is(err, io.EOF))
			return
		}
		_ = t.Receive(context.Background(), st) // that of the peer's end
	}()
	c := &badConn{Conn: ours, theirs: theirs, w: w, read: -1, write: -1}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.rnd.IntN(6000); bad > 8 {
		c.read = n
	} else if bad > 6 {
		c.write = n
	}
	c.hole = w.rnd.IntN(3) == 0
	w.conns, w.every = append(w.conns, c), append(w.every, c)
	return c, nil
}

// pull breaks all connections that there are.
func (w *weather) pull() {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Conn.Close()   // it may be closed
		_ = c.theirs.Close() // it may be closed
	}
}

// carried reports on which connections something has come to the client.
func (w *weather) carried(text string) (on []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range w.every {
		c.mu.Lock()
		if bytes.Contains(c.in, []byte(text)) {
			on = append(on, i)
		}
		c.mu.Unlock()
	}
	return on
}

// clears has nothing break any more.
func (w *weather) clears() {
	w.mu.Lock()
	w.fair = true
	w.mu.Unlock()
	w.pull()
}

// badConn breaks, or becomes a hole, after so many bytes in one direction; below zero never.
type badConn struct {
	net.Conn
	theirs net.Conn
	w      *weather
	hole   bool

	mu          sync.Mutex
	read, write int
	sunk        bool
	in, out     []byte
}

var errBadConn = errors.New("cut")

// breaks does what it is to do; it may not return before it is closed.
func (c *badConn) breaks() error {
	if !c.hole {
		_ = c.Conn.Close() // it is broken
		return errBadConn
	}
	c.mu.Lock()
	c.sunk = true
	c.mu.Unlock()
	return nil
}

// Read implements [net.Conn].
func (c *badConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	left := c.read
	if left > 0 {
		p = p[:min(left, len(p))]
	}
	c.mu.Unlock()
	if left == 0 {
		if err := c.breaks(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if left > 0 {
		c.read -= n
	}
	for c.sunk && err == nil { // and nothing of it arrives
		c.mu.Unlock()
		n, err = c.Conn.Read(p)
		c.mu.Lock()
	}
	if c.sunk {
		n = 0
	}
	c.in = append(c.in, p[:n]...)
	c.mu.Unlock()
	return n, err
}

// Write implements [net.Conn].
func (c *badConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	left, sunk := c.write, c.sunk
	c.mu.Unlock()
	if sunk {
		return len(p), nil
	}
	if left >= 0 && left <= len(p) {
		n, err := c.Conn.Write(p[:left])
		c.mu.Lock()
		c.out = append(c.out, p[:n]...)
		c.mu.Unlock()
		if err == nil {
			err = c.breaks()
		}
		if err != nil {
			return n, err
		}
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, p[:n]...)
	if c.write > 0 {
		c.write -= n
	}
	return n, err
}
