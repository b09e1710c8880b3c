package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// makeBusy has handlers wait until the function is called that it returns.
func (u *user) makeBusy() (free func()) {
	busy := make(chan struct{})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy = busy
	return func() {
		u.mu.Lock()
		u.busy = nil
		u.mu.Unlock()
		close(busy)
		synctest.Wait()
	}
}

// What a handler of a session that was left is still about does not count in the next one:
// there the stanza comes again, and numbers are those of other stanzas.
func TestClientLeftHandlerCountsNothing(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(t, smacks.ClientOptions{})
			s := u.begins("tok")
			free := u.makeBusy()
			s.say("<message id='a'/><message id='b'/>")
			u.Detach()
			u.connects()
			s = u.net.last()
			s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
			if resumed {
				free() // while the server is about to send it again
				s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>" + askedFor)
				s.want(told("0"))
				s.say("<message id='a'/><message id='b'/>" + askedFor)
				s.want(told("2"))
				u.check("seen", &u.seen, "early", "a", "a", "b")
				return
			}
			s.say("<failed xmlns='urn:xmpp:sm:3'/>")
			s.binds("new")
			free()
			s.say(askedFor)
			s.want(told("0"))
			s.say("<message id='c'/>" + askedFor)
			s.want(told("1"))
			u.check("seen", &u.seen, "early", "a", "early", "c")
		})
	}
}

// What is being handled when the connection is lost is not counted before it is: a state
// that is saved meanwhile has it come again. The session does not get it twice.
func TestClientStateWhileHandling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		free := u.makeBusy()
		s.say("<message id='a'/><message id='b'/>")
		_ = s.c.Close()
		s = u.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='a'/>")
		if n := u.State().In; n != 0 {
			t.Errorf("%d are handled", n)
		}
		free()
		s.say("<message id='b'/>" + askedFor)
		s.want(told("2"))
		u.check("seen", &u.seen, "early", "a", "b")
	})
}

// A session that mellium ends while there is no connection is over, as by Close.
func TestClientSessionClosedDetached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.net.setDown(true)
		_ = s.c.Close()
		synctest.Wait()
		is(t, "Close", u.session.Close(), nil)
		synctest.Wait()
		select {
		case err := <-u.served:
			is(t, "Serve", err, smacks.ErrDetached)
		default:
			t.Fatal("the session goes on")
		}
		u.net.setDown(false)
		u.begins("new") // nothing is resumed
	})
}

// A request that is written behind the server's stream error is not forgotten.
func TestClientRequestBehindStreamError(t *testing.T) {
	t.Parallel()
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(t, smacks.ClientOptions{})
			s := u.begins("tok")
			ended := make(chan struct{})
			for range 4 {
				go func() {
					for {
						if err := u.session.UnmarshalIQ(t.Context(), request(""), nil); err != nil {
							ended <- struct{}{}
							return
						}
					}
				}()
			}
			_, _ = s.c.Write([]byte("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"))
			for range 4 {
				<-ended
			}
		})
	}
}

// Requests of a session that nobody serves any more are over, whatever ended that.
func TestClientRequestWithoutServing(t *testing.T) {
	t.Parallel()
	errHandler := errors.New("handler's")
	for _, end := range []func() error{func() error { return errHandler }, func() error { panic(errHandler) }} {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(t, smacks.ClientOptions{})
			go func() {
				defer func() { _ = recover() }() // as a program may
				s, err := u.Connect(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				_ = u.Serve(s, xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
					if len(start.Attr) > 0 && start.Attr[0].Value == "bad" {
						return end()
					}
					return nil
				})) // how it ends is no matter
			}()
			s := u.net.last()
			s.binds("tok")
			done := begun(func() error { return u.UnmarshalIQ(t.Context(), request("q"), nil) })
			s.say("<message id='bad'/>")
			is(t, "the request", <-done, smacks.ErrSessionLost)
		})
	}
}

// Who waits for an acknowledgement is told when nobody will get one any more.
func TestClientSendAckedAtEnd(t *testing.T) {
	t.Parallel()
	ends := map[string]func(u *user, s *script, cancel func()){
		"detached": func(u *user, _ *script, _ func()) { u.Detach() },
		"closed": func(u *user, s *script, _ func()) {
			done := begun(func() error { u.Close(time.Second); return nil })
			s.say("</stream:stream>")
			<-done
		},
		"closed, no answer": func(u *user, _ *script, _ func()) { u.Close(time.Second) },
		"run":               func(_ *user, _ *script, cancel func()) { cancel() },
		"given up": func(u *user, s *script, _ func()) {
			u.net.setDown(true)
			_ = s.c.Close()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{Backoff: func(int, error) time.Duration { return -1 }})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ran := make(chan error, 1)
				go func() {
					ran <- u.Run(ctx, func(context.Context, *xmpp.Session) (xmpp.Handler, error) { return u, nil })
				}()
				s := u.net.last()
				s.binds("tok")
				done := begun(func() error { return u.SendAcked(t.Context(), stanza.Message{}.Wrap(nil)) })
				end(u, s, cancel)
				<-ran
				is(t, "SendAcked", <-done, smacks.ErrDetached)
				if n := len(u.Pending()); n != 1 {
					t.Errorf("%d are pending", n)
				}
			})
		})
	}
}

// SendAcked waits for its own stanza, whatever others have its id: a peer chooses those of
// replies.
func TestClientSendAckedAmongOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.send("x")
		done := begun(func() error { return u.sends()["SendAcked"](t.Context()) })
		s.say(told("1"))
		open(t, "SendAcked", done)
		s.say(told("2"))
		is(t, "SendAcked", <-done, nil)
	})
}

// A handler may wait for an acknowledgement: what the server sends before it does not stop
// it, however much that is.
func TestClientHandlerWaitsForAck(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(u *user) error{
		"SendAcked":  func(u *user) error { return u.sends()["SendAcked"](u.t.Context()) },
		"RequestAck": func(u *user) error { return u.RequestAck(u.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				waited := make(chan error, 1)
				u.handler = xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
					if len(start.Attr) > 0 && start.Attr[0].Value == "wait" {
						waited <- wait(u)
					}
					return u.HandleXMPP(r, start)
				})
				s := u.begins("tok")
				u.send("1")
				s.say("<message id='wait'/>")
				s.take()
				h := map[string]string{"SendAcked": "2", "RequestAck": "1"}[name]
				big := "<message><body>" + strings.Repeat("x", 1<<20) + "</body></message>"
				_, _ = s.c.Write([]byte(strings.Repeat(big, 6) + told(h)))
				is(t, name, <-waited, nil)
			})
		})
	}
}
