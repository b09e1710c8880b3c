package smacks_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/smacks"
)

// What is told when, and why (API-9).
func TestClientEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var why []error
		u := newUser(t, smacks.ClientOptions{
			State:   &smacks.ClientState{JID: jid.MustParse("juliet@example.net/balcony"), Token: "old"},
			Backoff: func(int, error) time.Duration { return -1 },
			OnEvent: func(e smacks.ClientEvent) {
				if e.Err != nil {
					why = append(why, e.Err)
				}
			},
		})
		told := func(want ...string) {
			t.Helper()
			u.check("events", &u.events, want...)
			u.mu.Lock()
			u.events = nil
			u.mu.Unlock()
		}
		reason := func(want error) {
			t.Helper()
			if len(why) != 1 || want != nil && !errors.Is(why[0], want) {
				t.Errorf("reasons are %v, want %v", why, want)
			}
			why = nil
		}
		// A session of an earlier process is over.
		u.connects()
		s := u.net.last()
		s.want("<resume ")
		s.say("<failed xmlns='urn:xmpp:sm:3'/>")
		s.binds("tok")
		told("resuming", "session lost", "started")
		reason(smacks.ErrSessionLost)
		// It goes on.
		_ = s.c.Close()
		s = u.net.last()
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		told("detached", "resuming", "resumed")
		reason(nil)
		// There is no network, and it is given up; but the session may be there.
		u.net.setDown(true)
		_ = s.c.Close()
		<-u.served
		told("detached", "detached")
		why = nil
		// Another one of mellium goes on with it.
		u.net.setDown(false)
		u.connects()
		s = u.net.last()
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		told("resuming", "resumed")
		// It is left, to be gone on with.
		u.Detach()
		told("detached")
		reason(smacks.ErrDetached)
		// It is over when that is tried.
		u.connects()
		s = u.net.last()
		s.take()
		s.say("<failed xmlns='urn:xmpp:sm:3'/>")
		s.binds("tok")
		told("resuming", "session lost", "started")
		reason(smacks.ErrSessionLost)
		// The server does not want any more.
		s.say("</stream:stream>")
		told("session lost")
		reason(nil)
		// It is closed, which is no news.
		s = u.begins("tok")
		told("started")
		go u.Close(time.Minute)
		s.want("</stream:stream>")
		s.say("</stream:stream>")
		told()
	})
}

// A client that is inactive tells so at the beginning of each connection, of a new session
// and of one that is resumed, by the events and the session they come with (API-9): what
// the server offers is known from the session, also where a resumption does not list it.
func TestClientInactive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		state := new(csi.Client)
		var u *user
		react := func(e smacks.ClientEvent) {
			var err error
			switch e.Kind {
			case smacks.Started:
				_, err = state.Started(t.Context(), e.Session)
			case smacks.Resumed:
				_, err = state.Resumed(t.Context(), e.Session)
			case smacks.Detached, smacks.SessionLost:
				state.Lost()
			}
			if err != nil {
				t.Error(err)
			}
		}
		const inactive = "<inactive xmlns=\"urn:xmpp:csi:0\">"
		u = newUser(t, smacks.ClientOptions{OnEvent: react})
		u.net.more = "<csi xmlns='urn:xmpp:csi:0'/>"
		s := u.begins("tok")
		if _, err := state.Inactive(t.Context()); err != nil {
			t.Error(err)
		}
		s.want(inactive)
		u.net.more += "<x xmlns='urn:x:more'/>"
		_ = s.c.Close()
		s = u.net.last()
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.want(inactive)
		if f := u.State().Features; !slices.Contains(f, "urn:x:more") {
			t.Errorf("features are %v", f)
		}
		_ = s.c.Close()
		s = u.net.last()
		s.want("<resume ")
		s.say("<failed xmlns='urn:xmpp:sm:3'/>")
		s.binds("tok")
		u.connects()
		s.want(inactive)

		// In another process.
		saved := u.Detach()
		if !slices.Contains(saved.Features, csi.NS) {
			t.Errorf("features are %v", saved.Features)
		}
		synctest.Wait()
		state = new(csi.Client)
		_, _ = state.Inactive(t.Context()) // there is nobody to tell
		u = newUser(t, smacks.ClientOptions{OnEvent: react, State: saved,
			Login: func(_ context.Context, conn net.Conn, addr jid.JID, _, _ string) (smacks.LoggedIn, error) {
				return smacks.LoggedIn{Conn: conn, JID: addr, Resumed: map[string]string{"previd": "tok", "h": "0"}}, nil
			}})
		u.connects()
		u.net.last().want(askedFor, inactive)
	})
}

// The features of a login in one step are those of the session, too.
func TestClientFeaturesOfLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{
			Login: func(_ context.Context, conn net.Conn, addr jid.JID, _, _ string) (smacks.LoggedIn, error) {
				return smacks.LoggedIn{Conn: conn, JID: addr, Features: []string{csi.NS}}, nil
			}})
		u.connects()
		synctest.Wait()
		if _, other := u.session.Feature("urn:x:other"); !csi.Supported(u.session) || other {
			t.Errorf("csi %v, other %v", csi.Supported(u.session), other)
		}
		if got := u.session.LocalAddr().String() + " " + u.session.RemoteAddr().String(); got != "juliet@example.net/balcony example.net" {
			t.Errorf("is between %s", got)
		}
	})
}
