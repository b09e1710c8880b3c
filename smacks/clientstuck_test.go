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

// Who waits for room has the server asked again, whatever the policy.
func TestClientRoomAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{MaxQueue: 1, AckPolicy: smacks.AskNever()})
		s := u.begins("tok")
		u.send("1")
		done := begun(func() error { return u.sends()["Send"](t.Context()) })
		s.want("1", askedFor)
		s.say(told("0")) // it is not handled yet
		s.want()
		time.Sleep(6 * time.Second)
		s.want(askedFor)
		s.say(told("1"))
		is(t, "Send", <-done, nil)
	})
}

// A server that lets a session go on and breaks the connection each time is not asked as
// fast as it can do that.
func TestClientBarrenConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{Backoff: func(int, error) time.Duration { return time.Minute }})
		s := u.begins("tok")
		begin := time.Now()
		for range 10 {
			_ = s.c.Close()
			for again := u.net.last(); ; again = u.net.last() {
				if again != s {
					s = again
					break
				}
				time.Sleep(time.Second)
			}
			s.want("<resume ")
			s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		}
		if d := time.Since(begin); d < 4*time.Minute {
			t.Errorf("ten connections in %v", d)
		}
		s.say("<message id='a'/>") // something gets on
		_ = s.c.Close()
		u.net.last().want("<resume ") // at once
	})
}

// A session that the server goes on with in a wrong way is not tried again and again.
func TestClientResumedWrong(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"another":    "<resumed xmlns='urn:xmpp:sm:3' previd='other' h='0'/>",
		"no counter": "<resumed xmlns='urn:xmpp:sm:3' previd='tok'/>",
		"too high": "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
			"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='0'/></stream:error></stream:stream>",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				s := u.begins("tok")
				u.send("1")
				_ = s.c.Close()
				s = u.net.last()
				s.want("<resume ")
				s.say(answer)
				time.Sleep(2 * time.Second)
				u.net.last().binds("new")
				is(t, "Serve", <-u.served, smacks.ErrSessionLost)
				u.connects()
				u.net.last().want("id='1'", "<delay ")
			})
		})
	}
}

// A session that was begun when another was lost, and that nobody wants, is ended.
func TestClientUnwantedSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{Backoff: func(int, error) time.Duration { return -1 }})
		ran := begun(func() error {
			return u.Run(t.Context(), func(context.Context, *xmpp.Session) (xmpp.Handler, error) { return u, nil })
		})
		s := u.net.last()
		s.binds("tok")
		_ = s.c.Close()
		s = u.net.last()
		s.want("<resume ")
		s.say("<failed xmlns='urn:xmpp:sm:3'/>")
		s.binds("new")
		is(t, "Run", <-ran, smacks.ErrSessionLost)
		s.want("</stream:stream>")
		if _, err := s.c.Write([]byte(" ")); err == nil {
			t.Error("the connection is open")
		}
	})
}

// Behind the end of our stream nothing is said, and who waits to say something is told.
func TestClientNothingBehindEnd(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(t, smacks.ClientOptions{MaxQueue: 1})
			u.net.plain = plain
			s := u.begins("tok")
			u.send("1")
			waits := make(<-chan error)
			if !plain {
				waits = begun(func() error { return u.sends()["Send"](t.Context()) })
			}
			closed := begun(func() error { u.Close(time.Minute); return nil })
			s.want("1", "</stream:stream>")
			if !plain {
				is(t, "Send", <-waits, smacks.ErrNoSession)
			}
			_, _ = u.session.Conn().Write([]byte("<x xmlns='urn:x'/>")) // it is no stanza
			s.want()
			if plain {
				if _, err := u.session.Conn().Write([]byte("<message/>")); err == nil {
					t.Error("a stanza is lost")
				}
			}
			open(t, "Close", closed)
			s.say("</stream:stream>")
			<-closed
			<-u.served
		})
	}
}

// A handler that fails because its session is over has not handled its stanza.
func TestClientHandlerFailsBehindEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		busy := make(chan struct{})
		ended := begun(func() error {
			s, err := u.Connect(t.Context())
			if err != nil {
				return err
			}
			return u.Serve(s, xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
				if len(start.Attr) == 0 || start.Attr[0].Value != "q" {
					return nil
				}
				<-busy
				_, err := xmlstream.Copy(r, stanza.IQ{ID: "q", Type: stanza.ResultIQ}.Wrap(nil))
				return errors.Join(err, errors.New("no answer"))
			}))
		})
		s := u.net.last()
		s.binds("tok")
		s.say("<iq id='q' type='get'/><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		close(busy)
		<-ended
		u.connects()
		u.net.last().want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
	})
}

// A callback that panics does not leave the client in the middle of something.
func TestClientOnDroppedPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{OnDropped: func(smacks.Pending) smacks.Action { panic("dropped") }})
		s := u.begins("tok")
		u.send("1")
		s.say("</stream:stream>")
		<-u.served
		begun(func() error {
			defer func() { _ = recover() }() // as a program may
			_, err := u.Connect(t.Context())
			return err
		})
		s = u.net.last()
		s.binds("new")
		detached := begun(func() error { u.Detach(); return nil })
		select {
		case <-detached:
		default:
			t.Fatal("Detach does not return")
		}
		_ = s.c.Close()
	})
}

// What Detach returns is where the session is: nothing is sent or acknowledged behind it.
func TestClientDetachIsTheEnd(t *testing.T) {
	t.Parallel()
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(t, smacks.ClientOptions{})
			s := u.begins("tok")
			sent := make(chan error, 1)
			go func() {
				for {
					if err := u.Send(t.Context(), stanza.Message{}.Wrap(nil)); err != nil {
						sent <- err
						return
					}
				}
			}()
			_, _ = s.c.Write([]byte(strings.Repeat("<message/>"+askedFor, 10)))
			state := u.Detach()
			<-sent
			got := s.take()
			if n := strings.Count(got, "<message"); n > int(state.Out()) {
				t.Errorf("%d are sent, %d by the state", n, state.Out())
			}
			if h := "h='" + string(rune('0'+state.In+1)) + "'"; state.In < 9 && strings.Contains(got, h) {
				t.Errorf("more than %d are acknowledged: %s", state.In, h)
			}
		})
	}
}
