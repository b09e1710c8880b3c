package sasl2_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

const (
	olderPlain = "<auth{1} mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"
	olderBind  = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>"
)

// older logs in by the profile of RFC 6120.
func (s *site) older() *peer {
	s.t.Helper()
	p := s.connect()
	for _, text := range []string{"{romeo}", olderPlain, "{romeo}", olderBind} {
		p.send(text)
		p.take()
	}
	if p.st.Session() == nil {
		s.t.Fatalf("no session: %s", p.output())
	}
	return p
}

func (s *site) devices() []sasl2.Device {
	s.t.Helper()
	list, err := s.x.Devices(s.t.Context(), s.host.Mux(), romeo)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// TestSessionsListed: clients that do not say which they are, or log in by the older
// profile, are listed while they have a session, also one that waits, and also after a
// restart; with the same id each time, which is not that of the session (auth-register
// CA-1).
func TestSessionsListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) {
			withMembers(s)
			s.mux.Sessions = new(mux.MemorySessions)
		})
		mute := site.connect()
		mute.send("{romeo}{plain}<bind{bind2}/>{end}")
		mute.take()
		time.Sleep(time.Hour)
		desk := site.older()
		desk.send(askList)
		got := desk.take()
		for _, want := range []string{
			"<first-seen>2000-01-01T00:00:00Z</first-seen><last-seen>2000-01-01T01:00:00Z</last-seen><auth><password/></auth><permission status='unrestricted'/><user-agent><device>" + mute.st.Session().JID().Resource() + "</device></user-agent></client>",
			"<first-seen>2000-01-01T01:00:00Z</first-seen><last-seen>2000-01-01T01:00:00Z</last-seen><auth><password/></auth><permission status='unrestricted'/><user-agent><device>desk</device></user-agent></client>",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("got %s, without %s", got, want)
			}
		}
		ids := idAt.FindAllStringSubmatch(got, -1)
		if len(ids) != 2 || ids[0][1] == ids[1][1] || strings.Contains(got, desk.st.Session().ID().String()) || strings.Count(got, "connected='true' type='session'") != 2 {
			t.Errorf("got %s", got)
		}
		mute.stop()
		desk.stop()
		site.restart()
		list := site.devices()
		if len(list) != 2 || !list[0].Connected || list[0].ID != ids[0][1] || list[0].Resource == "" || list[1].ID != ids[1][1] || list[1].Resource != "desk" {
			t.Errorf("got %+v, want %v", list, ids)
		}
		time.Sleep(time.Hour) // nobody comes back
		if list := site.devices(); len(list) != 0 {
			t.Errorf("left %+v", list)
		}
	})
}

// TestSessionsRevoked: their owner is told what takes them away (auth-register CA-2); an
// operator ends the session, and that one only.
func TestSessionsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		desk, named := site.older(), site.connect()
		defer desk.stop()
		defer named.stop()
		named.send("{romeo}{plain}{agent}<bind{bind2}/>{end}")
		named.take()
		list := site.devices()
		if len(list) != 2 {
			t.Fatalf("got %+v", list)
		}
		id := list[0].ID
		if list[0].Resource == "" {
			id = list[1].ID
		}
		named.send("<iq type='set' id='2'><revoke xmlns='urn:xmpp:cam:0' id='" + id + "'/></iq>")
		if got := named.take(); !strings.Contains(got, expand("<service-unavailable{stanzas}/><password-reset-required xmlns='urn:xmpp:cam:0'/>")) {
			t.Errorf("got %s", got)
		}
		desk.expect("")
		m := site.host.Mux()
		if err := site.x.Revoke(t.Context(), m, mux.MustParseAddress("mallory@example.net"), id); !errors.Is(err, sasl2.ErrNoClient) {
			t.Errorf("error %v", err)
		}
		if err := site.x.Revoke(t.Context(), m, romeo, id); err != nil {
			t.Fatal(err)
		}
		desk.expect("{error not-authorized}")
		named.expect("")
		if list := site.devices(); len(list) != 1 || list[0].Device != "Phone" {
			t.Errorf("left %+v", list)
		}
		if err := site.x.Revoke(t.Context(), m, romeo, id); !errors.Is(err, sasl2.ErrNoClient) {
			t.Errorf("error %v", err)
		}
		defer site.older().stop() // it knows the password still
	})
}

// TestForgottenListed: a client that was forgotten, for others that came later, is known
// by its session; without the password that its owner can end.
func TestForgottenListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) { s.opt.MaxClients = 1 })
		token, _ := site.issue()
		phone := site.connect()
		defer phone.stop()
		phone.send("{romeo}" + attempt{token: token, children: "<bind{bind2}/>"}.text())
		phone.take()
		time.Sleep(time.Minute)
		other := site.connect()
		defer other.stop()
		other.send("{romeo}{plain}" + agentB + "<bind{bind2}/>{end}")
		other.take()
		list := site.devices()
		if len(list) != 2 {
			t.Fatalf("got %+v", list)
		}
		lost := list[0]
		if lost.Resource == "" {
			lost = list[1]
		}
		if lost.Resource != phone.st.Session().JID().Resource() || lost.Password || lost.Token {
			t.Errorf("got %+v", lost)
		}
		other.send("<iq type='set' id='2'><revoke xmlns='urn:xmpp:cam:0' id='" + lost.ID + "'/></iq>")
		if got := other.take(); !strings.Contains(got, "type='result'") {
			t.Errorf("got %s", got)
		}
		phone.expect("{error not-authorized}")
	})
}
