package smacks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/smacks"
)

func TestClientProbesAndGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		time.Sleep(5 * time.Minute)
		s.want("<r xmlns='urn:xmpp:sm:3'/>")
		s.say("<a xmlns='urn:xmpp:sm:3' h='0'/>")
		u.send("1")
		s.want("<message")
		time.Sleep(5 * time.Second)
		s.want("<r xmlns='urn:xmpp:sm:3'/>")
		time.Sleep(30 * time.Second)
		if got := s.take(); strings.Contains(got, "</stream") {
			t.Errorf("said %s", got)
		}
		again := u.net.last()
		if again == s {
			t.Fatal("the connection was not given up")
		}
		again.want("<resume ")
	})
}

func TestClientAsksAndWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{MaxQueue: 6})
		s := u.begins("tok")
		u.send("1", "2", "3", "4")
		s.want("4")
		u.send("5")
		s.want("5", "<r ")
		u.send("6")
		sent := make(chan struct{})
		go func() { u.send("7"); close(sent) }()
		s.want("6")
		s.say("<message id='meanwhile'/>") // reading goes on
		u.check("seen", &u.seen, "early", "meanwhile")
		s.say("<a xmlns='urn:xmpp:sm:3' h='5'/>")
		<-sent
		s.want("7")
		probe := make(chan error, 1)
		go func() { probe <- u.RequestAck(t.Context()) }()
		s.want("<r ")
		s.say("<a xmlns='urn:xmpp:sm:3' h='7'/>")
		if err := <-probe; err != nil {
			t.Errorf("RequestAck: %v", err)
		}
		u.check("acknowledged", &u.acked, "1", "2", "3", "4", "5", "6", "7")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.RequestAck(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("RequestAck: %v", err)
		}
	})
}

// A server that counts wrong is told so (smacks SM-38), left and not resumed with, once
// (smacks SM-84); one that cannot count is told that (smacks SM-27).
func TestClientBadAcknowledgement(t *testing.T) {
	t.Parallel()
	tooHigh := func(h, sent string) string {
		return "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><handled-count-too-high xmlns='urn:xmpp:sm:3' h='" +
			h + "' send-count='" + sent + "'/></stream:error></stream:stream>"
	}
	const malformed = "<stream:error><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
	for _, c := range []struct {
		name, say, want string
		resumed         bool // with what was not sent
	}{
		{"too high", told("3"), tooHigh("3", "2"), false},
		{"back", told("0"), tooHigh("0", "2"), false},
		{"far back", told("4294967295"), tooHigh("4294967295", "2"), false},
		{"none", "<a xmlns='urn:xmpp:sm:3'/>", malformed, false},
		{"too large", told("4294967296"), malformed, false},
		{"negative", told("-1"), malformed, false},
		{"resumed too high", "<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='4'/>", tooHigh("4", "3"), true},
		{"resumed with what was not sent", "<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='3'/>", tooHigh("3", "3"), true},
		{"resumed back", "<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>", tooHigh("0", "3"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				s := u.begins("tok")
				u.send("1", "2")
				s.say(told("1"))
				events := []string{"started", "session lost"}
				if c.resumed {
					u.net.setDown(true)
					_ = s.c.Close()
					synctest.Wait()
					u.send("3") // cannot have been handled yet
					u.net.setDown(false)
					time.Sleep(5 * time.Second)
					s = u.net.last()
					s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok'")
					events = []string{"started", "detached", "resuming", "session lost"}
				}
				s.take()
				s.say(c.say)
				if got := s.take(); got != c.want {
					t.Errorf("says %s, want %s", got, c.want)
				}
				if _, err := s.c.Write([]byte(" ")); err == nil {
					t.Error("the connection is open")
				}
				if err := <-u.served; err == nil || errors.Is(err, smacks.ErrSessionLost) {
					t.Errorf("Serve: %v", err)
				}
				u.check("events", &u.events, events...)
				time.Sleep(time.Hour)
				if u.net.last() != s {
					t.Error("it connects by itself")
				}
				u.begins("new")
				u.net.last().want("id='2'", "<delay ")
			})
		})
	}
}

// So is one that does at the first connection.
func TestClientConnectBadCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{State: &smacks.ClientState{JID: jid.MustParse("juliet@example.net/balcony"), Token: "tok", Acked: 7}})
		u.connects()
		s := u.net.last()
		s.want("<resume ")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='8'/>")
		s.want("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='8' send-count='7'/>")
		if err := <-u.served; err == nil {
			t.Error("Connect: no error")
		}
		u.check("events", &u.events, "resuming", "session lost")
		u.begins("new")
	})
}

// RequestAck waits until all that was sent before is acknowledged, whatever answer is
// on its way already, and however early the server answers (smacks API-6).
func TestClientRequestAckWaitsForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.send("1", "2", "3", "4", "5")
		s.want("5", "<r ")
		u.send("6")
		done := make(chan error, 1)
		go func() { done <- u.RequestAck(t.Context()) }()
		waits := func(after string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("RequestAck returns %v after %s; pending: %v", err, after, u.Pending())
			default:
			}
		}
		waits("nothing")
		s.want("6")
		s.say("<a xmlns='urn:xmpp:sm:3' h='5'/>")
		waits("the answer to an earlier request")
		s.want("<r ")
		s.say("<a xmlns='urn:xmpp:sm:3' h='5'/>")
		waits("an answer that comes before the stanza is handled")
		s.say("<a xmlns='urn:xmpp:sm:3' h='6'/>")
		if err := <-done; err != nil {
			t.Errorf("RequestAck: %v", err)
		}
	})
}
