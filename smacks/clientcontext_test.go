package smacks_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/smacks"
)

// timedConn counts the deadlines that are set for both directions at once.
type timedConn struct {
	net.Conn
	set *atomic.Int32
}

func (c timedConn) SetDeadline(t time.Time) error {
	c.set.Add(1)
	return c.Conn.SetDeadline(t)
}

// The end of its context ends a login by closing the connection. No deadline is set,
// which somebody would have to take back: that of a context that ends behind the login
// would hit the session.
func TestClientLoginContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var set atomic.Int32
		closed := make(chan struct{})
		c := smacks.NewClient(jid.MustParse("juliet@example.net"), &smacks.ClientOptions{
			Dial: func(context.Context, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer close(closed)
					for b := make([]byte, 100); ; { // a server that says nothing
						if _, err := theirs.Read(b); err != nil {
							return
						}
					}
				}()
				return timedConn{ours, &set}, nil
			},
			LoginTimeout: time.Minute,
		})
		if _, err := c.Connect(t.Context()); err == nil {
			t.Error("Connect: no error")
		}
		<-closed
		if n := set.Load(); n != 0 {
			t.Errorf("%d deadlines were set", n)
		}
	})
}

// The context of Connect is for connecting: when it ends behind that, the session goes on.
func TestClientConnectContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			s, err := u.Connect(ctx)
			cancel()
			if err != nil {
				served <- err
				return
			}
			served <- s.Serve(u)
		}()
		s := u.net.last()
		s.binds("tok")
		s.say("<message id='a'/>")
		u.check("seen", &u.seen, "early", "a")
		s.say("</stream:stream>")
		if err := <-served; err != nil && !errors.Is(err, smacks.ErrDetached) {
			t.Errorf("Serve: %v", err)
		}
	})
}
