package smacks

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/jid"
)

// watchedContext counts how often somebody wants to know when it ends.
type watchedContext struct {
	context.Context
	asked *atomic.Int32
}

func (c watchedContext) Done() <-chan struct{} {
	c.asked.Add(1)
	return c.Context.Done()
}

// Nobody waits for the end of the context with which a session was begun: mellium would
// have it time out for a moment then.
func TestClientSessionContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		juliet := jid.MustParse("juliet@example.net/balcony")
		var asked atomic.Int32
		if _, err := newClientConn(NewClient(juliet, nil)).session(watchedContext{t.Context(), &asked}, juliet, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := asked.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Who has room and waits for mellium's lock, to write, does not keep the one who has that
// from writing.
func TestClientRoomIsNotInTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(jid.MustParse("juliet@example.net/balcony"), &ClientOptions{MaxQueue: 1})
		k := newClientConn(c)
		c.cur, c.on = k, true
		k.rooms["2"] = struct{}{}
		wrote := make(chan error, 1)
		go func() {
			_, err := k.Write([]byte("<message id='1'/><iq type='get' id='2'/>"))
			wrote <- err
		}()
		synctest.Wait()
		select {
		case err := <-wrote:
			if err != nil || len(c.Pending()) != 2 {
				t.Errorf("Write: %v, pending are %v", err, c.Pending())
			}
		default:
			t.Error("it waits")
			c.mu.Lock()
			defer c.mu.Unlock()
			c.over(ErrSessionLost)
		}
	})
}
