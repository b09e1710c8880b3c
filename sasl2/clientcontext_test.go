package sasl2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/sasl2"
)

// timedConn counts the deadlines that are set.
type timedConn struct {
	net.Conn
	set *atomic.Int32
}

func (c timedConn) SetDeadline(t time.Time) error {
	c.set.Add(1)
	return c.Conn.SetDeadline(t)
}

func (c timedConn) SetReadDeadline(t time.Time) error {
	c.set.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c timedConn) SetWriteDeadline(t time.Time) error {
	c.set.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

// TestClientContext: the end of the context ends a login by closing the connection. No
// deadline is set, which somebody would have to take back: that of a context that ends
// behind the login would hit the session.
func TestClientContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		f := newFakeServer(t)
		f.c = ours
		go f.read()
		ctx, cancel := context.WithCancel(t.Context())
		var set atomic.Int32
		go func() {
			defer close(f.ended)
			f.s, _, f.err = sasl2.NewSession(ctx, jid.MustParse("romeo@example.net"), timedConn{theirs, &set}, f.clientOptions())
		}()
		if got := f.take(); got != "{anonymous}" {
			t.Errorf("client sent %s", got)
		}
		cancel()
		f.end()
		if !errors.Is(f.err, context.Canceled) || set.Load() != 0 {
			t.Errorf("error %v, %d deadlines", f.err, set.Load())
		}
	})
}

// endingConn calls a function when it has read what ends with something.
type endingConn struct {
	net.Conn
	last string
	then func()
}

func (c endingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if strings.HasSuffix(string(b[:n]), c.last) {
		c.then()
	}
	return n, err
}

// TestClientContextAtTheEnd: a context may end when there is nothing more to read. The
// connection is closed then too, so that the login has failed; and what it got is saved.
// Once it is up to Done, nothing is closed any more.
func TestClientContextAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, inDone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			f := newFakeServer(t)
			f.c = ours
			go f.read()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := f.clientOptions()
			conn := endingConn{theirs, "<stream:features/>", cancel}
			if inDone {
				conn.then = func() {}
				o.Done = func(context.Context, sasl2.Login) error { cancel(); return nil }
			}
			romeo := jid.MustParse("romeo@example.net")
			negotiate := sasl2.Negotiator(o)
			go func() {
				defer close(f.ended)
				f.s, f.err = xmpp.NewSession(context.WithoutCancel(ctx), romeo.Domain(), romeo, conn, xmpp.Secure,
					func(_ context.Context, in, out *stream.Info, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
						return negotiate(ctx, in, out, s, data) // as NewSession does
					})
			}()
			f.play(`
				S: {hello}{all}
				C: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>
				S: <challenge{2}>{64 who?}</challenge>
				C: <response{2}>{64 secret}</response>
				S: {ok}{proof}<authorization-identifier>romeo@example.net/2</authorization-identifier><bound{bind2}/></success><stream:features/>
			`)
			f.end()
			if errors.Is(f.err, context.Canceled) == inDone || len(f.states) == 0 {
				t.Errorf("in Done %t: error %v, %d states", inDone, f.err, len(f.states))
			}
		})
	}
}
