package sasl2_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

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
