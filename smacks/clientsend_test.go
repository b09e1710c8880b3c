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
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// begun has f run, and gives what it returns.
func begun(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

// open reports whether f has not returned.
func open(t *testing.T, what string, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Errorf("%s: %v, want it to wait", what, err)
	default:
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// request is one that asks the server for something.
func request(id string) xml.TokenReader {
	return stanza.IQ{ID: id, Type: stanza.GetIQ, To: jid.MustParse("example.net")}.Wrap(nil)
}

// sends are the ways to send that heed a context and options.
func (u *user) sends() map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Send":      func(ctx context.Context) error { return u.Send(ctx, stanza.Message{ID: "x"}.Wrap(nil)) },
		"SendAcked": func(ctx context.Context) error { return u.SendAcked(ctx, stanza.Message{ID: "x"}.Wrap(nil)) },
		"UnmarshalIQ": func(ctx context.Context) error {
			return u.UnmarshalIQ(ctx, stanza.IQ{ID: "x", Type: stanza.GetIQ}.Wrap(nil), nil)
		},
	}
}

// Without a connection what is sent waits for the next, up to a bound; beyond that sending
// waits as long as its context, and the session's loss (API-3).
func TestClientSendDetached(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Send", "SendAcked", "UnmarshalIQ"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{MaxQueue: 2})
				send := u.sends()[name]
				is(t, "without a session", send(t.Context()), smacks.ErrNoSession)
				s := u.begins("tok")
				u.net.setDown(true)
				_ = s.c.Close()
				synctest.Wait()
				u.send("1", "2")
				if n := len(u.Pending()); n != 2 || u.Pending()[0].Attempts != 0 {
					t.Errorf("pending are %+v", u.Pending())
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				is(t, "at the bound", send(ctx), context.DeadlineExceeded)
				if n := len(u.Pending()); n != 2 {
					t.Errorf("pending are %v", u.Pending())
				}
				u.net.setDown(false)
				done := begun(func() error { return send(t.Context()) })
				time.Sleep(5 * time.Second)
				s = u.net.last()
				s.want("<resume ")
				s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
				s.want("1", "2", askedFor)
				if name != "Send" {
					open(t, name, done)
				}
				s.say(told("1")) // there is room
				s.want("x")
				switch name {
				case "SendAcked":
					open(t, name, done)
					s.say(told("3"))
				case "UnmarshalIQ":
					open(t, name, done)
					s.say("<iq type='result' id='x'/>")
				}
				is(t, "sent", <-done, nil)
				s.say(told("3"))

				// The session ends while somebody waits.
				u.net.setDown(true)
				_ = s.c.Close()
				synctest.Wait()
				u.send("4", "5")
				done = begun(func() error { return send(t.Context()) })
				u.net.setDown(false)
				time.Sleep(5 * time.Second)
				s = u.net.last()
				s.want("<resume ")
				s.say("<failed xmlns='urn:xmpp:sm:3'/>")
				s.binds("new")
				is(t, "at the end", <-done, smacks.ErrSessionLost)
				is(t, "behind it", send(t.Context()), smacks.ErrNoSession)
			})
		})
	}
}

// By an option they fail without a connection, and what is written to mellium's session
// still waits (API-3).
func TestClientFailDetached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{FailDetached: true})
		s := u.begins("tok")
		if err := u.Send(t.Context(), stanza.Message{ID: "1"}.Wrap(nil)); err != nil {
			t.Error(err)
		}
		u.net.setDown(true)
		_ = s.c.Close()
		synctest.Wait()
		for name, send := range u.sends() {
			is(t, name, send(t.Context()), smacks.ErrNoConnection)
		}
		u.send("2")
		if p := u.Pending(); len(p) != 2 || p[1].ID != "2" {
			t.Errorf("pending are %v", p)
		}
	})
}

// Each stanza has an id, whoever sends it and however (smacks SM-82), and what is none is
// not sent.
func TestClientIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		empty := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "message"}, Attr: []xml.Attr{{Name: xml.Name{Local: "id"}}}})
		for _, err := range []error{
			u.session.Send(t.Context(), stanza.Presence{}.Wrap(nil)),
			u.Send(t.Context(), stanza.Presence{}.Wrap(nil)),
			u.Send(t.Context(), empty),
			u.Send(t.Context(), stanza.Message{ID: "mine"}.Wrap(nil)),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		ids := make(map[string]bool)
		for _, p := range u.Pending() {
			ids[p.ID] = true
			if p.ID == "" || strings.Count(string(p.Raw), "id=") != 1 || !strings.Contains(string(p.Raw), p.ID) {
				t.Errorf("sent %s", p.Raw)
			}
		}
		if len(ids) != 4 || !ids["mine"] {
			t.Errorf("ids are %v", ids)
		}
		s.want("<presence ", "<presence ", "<message ", "<message ")
		for name, r := range map[string]xml.TokenReader{
			"another element": xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "r", Space: smacks.NS}}),
			"text":            xmlstream.Token(xml.CharData("x")),
			"nothing":         xmlstream.MultiReader(),
			"not to be sent":  stanza.Message{ID: "\x00"}.Wrap(nil),
		} {
			if err := u.Send(t.Context(), r); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		s.want()
		if n := len(u.Pending()); n != 4 {
			t.Errorf("%d are pending", n)
		}
	})
}

// Of two stanzas with one id each is waited for by itself (API-4).
func TestClientSendAckedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		first, second := begun(func() error { return u.sends()["SendAcked"](t.Context()) }), begun(func() error { return u.sends()["SendAcked"](t.Context()) })
		s.want("x", "x")
		s.say(told("1"))
		is(t, "the first", <-first, nil)
		open(t, "the second", second)
		s.say(told("2"))
		is(t, "the second", <-second, nil)
	})
}

// Those who wait for room wait: they do not wake each other for ever.
func TestClientManyWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{MaxQueue: 1})
		s := u.begins("tok")
		u.send("1")
		first := begun(func() error { return u.sends()["Send"](t.Context()) })
		second := begun(func() error { return u.sends()["Send"](t.Context()) }) // waits, or this does not return
		s.want("1", askedFor)
		s.say(told("1"))
		s.say(told("2"))
		is(t, "Send", <-first, nil)
		is(t, "Send", <-second, nil)
	})
}
