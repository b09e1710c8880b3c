package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	openTag  = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
	closeTag = "</stream:stream>"
	cut      = "(cut)" // the connection has ended
	botFull  = "bot@example.net/echo"
)

// wire is the other end of a session, played by the test inside a bubble.
type wire struct {
	t    *testing.T
	conn net.Conn
	out  chan string
	read chan struct{} // closed for the wire to be read

	mu  sync.Mutex
	got []string
}

// wired makes a session and its other end. The session's is of a server that has
// accepted a client if received, else of a client.
func wired(t *testing.T, local, remote string, received bool) (*wire, *xmpp.Session) {
	t.Helper()
	ours, theirs := net.Pipe()
	w := &wire{t: t, conn: theirs, out: make(chan string, 1000), read: make(chan struct{})}
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		close(w.out)
		w.start()
	})
	go func() {
		for p := range w.out {
			_, _ = io.WriteString(theirs, p) // the test may have cut it
		}
	}()
	w.out <- openTag
	head := make([]byte, len(openTag))
	done := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(theirs, head)
		done <- err
		<-w.read
		w.scan()
	}()
	var s *xmpp.Session
	var err error
	if n := open(local, remote); received {
		s, err = xmpp.ReceiveSession(t.Context(), ours, 0, n)
	} else {
		s, err = xmpp.NewSession(t.Context(), jid.MustParse(remote), jid.MustParse(local), ours, 0, n)
	}
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	return w, s
}

// start has the wire read.
func (w *wire) start() {
	select {
	case <-w.read:
	default:
		close(w.read)
	}
}

// scan notes the elements that come in, verified.
func (w *wire) scan() {
	var sc xmlscan.Scanner
	sc.SetLimits(xmlscan.Limits{Bytes: 1 << 24, Depth: 1 << 8})
	buf := []byte(openTag)
	chunk := make([]byte, 1000)
	for {
		kind, n, err := sc.Next(buf)
		if err != nil {
			w.t.Errorf("bad XML: %v: %s", err, buf)
			w.conn.Close()
			return
		}
		switch kind {
		case xmlscan.Element:
			w.note(string(buf[:n]))
		case xmlscan.Close:
			w.note(closeTag)
		case xmlscan.None:
			n, err := w.conn.Read(chunk)
			buf = append(buf, chunk[:n]...)
			if err != nil {
				w.note(cut)
				return
			}
			continue
		}
		buf = buf[n:]
	}
}

func (w *wire) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, s)
}

// send writes, as soon as the session reads.
func (w *wire) send(elements ...string) {
	w.out <- strings.Join(elements, "")
	synctest.Wait()
}

// arrived is what has come since it was last asked for.
func (w *wire) arrived() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}

// expect compares what has arrived.
func (w *wire) expect(want ...string) {
	w.t.Helper()
	got := w.arrived()
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			w.t.Errorf("missing: %s", want[i])
		case i >= len(want):
			w.t.Errorf("left over: %s", got[i])
		case want[i] == got[i]:
		case !strings.HasPrefix(want[i], "<") || want[i] == closeTag || !strings.HasPrefix(got[i], "<") || got[i] == closeTag:
			w.t.Errorf("got %s, want %s", got[i], want[i])
		default:
			if err := muxtest.Match(want[i], got[i], nil); err != nil {
				w.t.Errorf("%v: got %s, want %s", err, got[i], want[i])
			}
		}
	}
}

// served is a client's stream on a server that has mellium sessions.
type served struct {
	*wire
	xmpp *xmpp.Session
	st   *mux.Stream
	err  chan error // what Serve returned
}

// serveClient connects a client, bound.
func serveClient(t *testing.T, h *muxtest.Host, full string, limit int) *served {
	t.Helper()
	a := addr(full)
	h.AddAccount(a.Bare().String())
	w, s := wired(t, a.Domain(), full, true)
	c := &served{w, s, h.Mux().NewStream(mux.SessionConn(s, limit), mux.Client), make(chan error, 1)}
	c.st.SetAccount(a.Bare())
	if _, err := c.st.Bind(t.Context(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		t.Fatal(err)
	}
	go func() { c.err <- mux.Serve(context.Background(), c.st, s) }()
	return c
}

// ended is what Serve has returned by now; nil, false if it has not.
func ended(c <-chan error) (error, bool) {
	synctest.Wait()
	select {
	case err := <-c:
		return err, true
	default:
		return nil, false
	}
}

// bot is a client with extensions and the wire of its server.
type bot struct {
	*wire
	*mux.ClientSession
	xmpp *xmpp.Session
	err  chan error // what mellium's Serve returned
}

func startBot(t *testing.T, o *mux.Options, exts ...mux.Extension) *bot {
	t.Helper()
	w, s := wired(t, botFull, "example.net", false)
	c, err := mux.NewClientSession(t.Context(), s, o, exts...)
	if err != nil {
		t.Fatal(err)
	}
	b := &bot{w, c, s, make(chan error, 1)}
	t.Cleanup(func() { c.Close(nil) })
	go func() { b.err <- s.Serve(c) }()
	return b
}

func messageTo(to, id, in string) string {
	return "<message to='" + to + "' id='" + id + "'>" + in + "</message>"
}
