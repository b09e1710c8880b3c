package smacks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/smacks"
)

// A stanza counts when its handler has returned, with an error as well, and not if it
// panics (API-7).
func TestClientHandlerEnds(t *testing.T) {
	t.Parallel()
	errHandler := errors.New("handler's")
	for _, c := range []struct {
		name string
		end  func() error
		want string // counts then
	}{
		{"error", func() error { return errHandler }, "2"},
		{"stream error", func() error { return stream.PolicyViolation }, "2"},
		{"panic", func() error { panic(errHandler) }, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { _ = recover() }() // as a program may
					s, err := u.Connect(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					_ = u.Serve(s, xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
						for _, a := range start.Attr {
							if a.Value == "bad" {
								return c.end()
							}
						}
						return u.HandleXMPP(r, start)
					})) // how it ends is to be seen in what it says
				}()
				s := u.net.last()
				s.binds("tok")
				s.say("<message id='a'/><message id='bad'/><message id='b'/>")
				<-ended
				s.want(told(c.want) + "</stream:stream>")
				u.check("seen", &u.seen, "early", "a")
			})
		})
	}
}

// Closing ends the session for good, whether the server agrees or there is a server at
// all: nothing is resumed (API-8).
func TestClientCloseDropsState(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"answered", "not answered", "broken", "without a connection"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				s := u.begins("tok")
				u.send("1")
				if at == "without a connection" {
					u.net.setDown(true)
					_ = s.c.Close()
					synctest.Wait()
				}
				done := begun(func() error { u.Close(time.Second); return nil })
				switch at {
				case "answered":
					s.say("</stream:stream>")
				case "broken":
					_ = s.c.Close()
				}
				begin := time.Now()
				<-done
				<-u.served
				if d := time.Since(begin); (d != 0) != (at == "not answered") {
					t.Errorf("it takes %v", d)
				}
				if state := u.State(); state == nil || state.Token != "" || len(u.Pending()) != 1 {
					t.Errorf("state is %+v", state)
				}
				u.net.setDown(false)
				s = u.begins("new") // not resumed
				s.want("id='1'", "<delay ")
				if got := u.Outcome(); got.Kind != smacks.OutcomeFresh {
					t.Errorf("outcome is %+v", got)
				}
				for _, e := range u.events {
					if e == "session lost" {
						t.Errorf("events are %q", u.events)
					}
				}
			})
		})
	}
}

// While the session is being ended there is none for another process to go on with, and
// nothing is sent any more.
func TestClientStateWhileClosing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		go u.Close(time.Minute)
		s.want(told("0") + "</stream:stream>")
		if state := u.State(); state != nil {
			t.Errorf("state is %+v", state)
		}
		is(t, "Send", u.Send(t.Context(), request("x")), smacks.ErrNoSession)
		u.send("1")
		s.want()
		if p := u.Pending(); len(p) != 1 || p[0].Attempts != 0 {
			t.Errorf("pending are %+v", p)
		}
	})
}

// Where to connect, and whether it is too late, are hints for who makes connections
// (API-10).
func TestClientNextAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const where = "[2001:db8::1]:5222"
		u := newUser(t, smacks.ClientOptions{Backoff: func(int, error) time.Duration { return time.Hour }})
		next := func(want string, expired bool) {
			t.Helper()
			if got := u.NextAddress(); got != want || u.NextAddress() != want {
				t.Errorf("next address is %q, want %q", got, want)
			}
			if u.Expired(time.Now()) != expired {
				t.Errorf("expired is %v", !expired)
			}
		}
		next("", false)
		s := u.begins("tok") // which waits for 600 s
		next(where, false)
		u.net.setDown(true)
		_ = s.c.Close()
		synctest.Wait()
		next("", false) // it was tried
		time.Sleep(599 * time.Second)
		next("", false)
		time.Sleep(2 * time.Second)
		next("", true)
		saved := u.State()
		if !saved.Expired(time.Now()) || saved.Expired(saved.At.Add(600*time.Second)) {
			t.Errorf("state is %+v", saved)
		}
		u.net.setDown(false)
		time.Sleep(time.Hour - 600*time.Second)
		s = u.net.last()
		s.want("<resume ") // all the same (smacks SM-14)
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		next(where, false)
		u.Detach()
		next(where, false) // what was not tried yet
	})
}

// A state that says nothing of it does not expire, and one that is read again says the same.
func TestClientStateExpired(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		s    smacks.ClientState
		late time.Duration
		want bool
	}{
		{smacks.ClientState{}, time.Hour, false},
		{smacks.ClientState{At: at}, time.Hour, false},
		{smacks.ClientState{Max: time.Minute}, time.Hour, false},
		{smacks.ClientState{At: at, Max: time.Minute}, time.Minute, false},
		{smacks.ClientState{At: at, Max: time.Minute}, time.Minute + 1, true},
	} {
		c.s.JID = jid.MustParse("juliet@example.net/balcony")
		data, err := c.s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again smacks.ClientState
		if err := again.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if got := c.s.Expired(at.Add(c.late)); got != c.want || again.Expired(at.Add(c.late)) != c.want {
			t.Errorf("%+v: %v", c.s, got)
		}
	}
}

// Whatever is going on, a state that is taken is one from which another process goes on
// without a gap: what is sent is in it or acknowledged, and what it counts is handled
// (API-2).
func TestClientStateAtAnyMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		ctx, cancel := context.WithCancel(t.Context())
		sent := begun(func() error {
			for {
				if err := u.Send(ctx, request("x")); err != nil {
					return err
				}
			}
		})
		for h := range uint32(200) {
			before := u.State()
			after := u.State()
			if after.In < before.In || before.Out() > after.Out() || after.Out()-after.Acked != uint32(len(after.Unacked)) {
				t.Fatalf("state is %d, %d, %d behind %d, %d, %d", after.In, after.Acked, after.Out(), before.In, before.Acked, before.Out())
			}
			for before.Out() < h+1 {
				before = u.State()
			}
			if _, err := s.c.Write([]byte("<message/><a xmlns='urn:xmpp:sm:3' h='" + strconv.Itoa(int(h+1)) + "'/>")); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		is(t, "sending", <-sent, context.Canceled)
	})
}
