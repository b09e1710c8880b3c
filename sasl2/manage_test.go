package sasl2_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/sasl2"
)

const (
	askList = "<iq type='get' id='1'><list xmlns='urn:xmpp:cam:0'/></iq>"
	nobody  = "<iq type='set' id='2'><revoke xmlns='urn:xmpp:cam:0' id='nobody'/></iq>"
)

var idAt = regexp.MustCompile(` id='([A-Za-z0-9_-]{24})'`)

// TestClientList: auth-register CA-1, CA-2.
func TestClientList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		site := fasts(t, func(s *setup) { s.mux.Committer = c })
		bind := func(children string) *peer {
			t.Helper()
			p := site.connect()
			p.send("{romeo}{plain}<bind{bind2}/>" + children + "{end}")
			p.take()
			return p
		}
		list := func(p *peer) string {
			t.Helper()
			p.send(askList)
			_, got, ok := strings.Cut(p.take(), "<clients xmlns='urn:xmpp:cam:0'>")
			if !ok {
				t.Fatalf("no list: %s", p.output())
			}
			got, _, _ = strings.Cut(got, "</clients>")
			return got
		}
		a := bind(wants)
		defer a.stop()
		time.Sleep(time.Hour)
		b := bind(agentB + "<request-token{fast} mechanism='" + expr + "'/>")
		time.Sleep(time.Hour)
		b.stop()
		site.host.Settle()
		got := list(a)
		ids := idAt.FindAllStringSubmatch(got, -1)
		want := "<client connected='true' type='session' id='ID'><first-seen>2000-01-01T00:00:00Z</first-seen><last-seen>2000-01-01T02:00:00Z</last-seen>" +
			"<auth><password/><fast/></auth><permission status='unrestricted'/><user-agent><software>Hive</software><device>Phone</device></user-agent></client>" +
			"<client connected='false' type='session' id='ID'><first-seen>2000-01-01T01:00:00Z</first-seen><last-seen>2000-01-01T01:00:00Z</last-seen>" +
			"<auth><password/><fast/></auth><permission status='unrestricted'/><user-agent></user-agent></client>"
		if plain := idAt.ReplaceAllString(got, " id='ID'"); plain != want || len(ids) != 2 {
			t.Fatalf("got  %s\nwant %s", plain, want)
		}
		revoke := func(p *peer, id, want string) {
			t.Helper()
			p.send("<iq type='set' id='2'><revoke xmlns='urn:xmpp:cam:0' id='" + id + "'/></iq>")
			if got := p.take(); !strings.Contains(got, expand(want)) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		idA, idB := ids[0][1], ids[1][1]
		revoke(a, idB, "<error type='cancel'><service-unavailable{stanzas}/><password-reset-required xmlns='urn:xmpp:cam:0'/></error>")
		revoke(a, "nobody", "<item-not-found{stanzas}/>")
		revoke(a, "", "<item-not-found{stanzas}/>")

		// The password changes: both have nothing but what they had.
		site.auth.set("romeo@example.net", func(x *account) { x.generation++ })
		if got := list(a); strings.Contains(got, "<password/>") || strings.Contains(got, "<fast/>") || strings.Count(got, "status='normal'") != 2 {
			t.Errorf("got %s", got)
		}
		revoke(a, idB, "type='result'")
		revoke(a, idB, "<item-not-found{stanzas}/>")
		// A client that revokes itself is told, when that is durable.
		c.Hold()
		a.send("<iq type='set' id='3'><revoke xmlns='urn:xmpp:cam:0' id='" + idA + "'/></iq>")
		a.expect("")
		c.Release()
		if got := a.take(); !strings.Contains(got, " type='result' id='3'/>") || !strings.HasSuffix(got, expand("{error not-authorized}")) {
			t.Errorf("got %s", got)
		}
		if left, err := site.x.Devices(t.Context(), site.host.Mux(), romeo); err != nil || len(left) != 0 {
			t.Errorf("left %+v, %v", left, err)
		}
	})
}

// TestRevoke: what an operator does ends tokens and sessions, whatever the client
// knows, and those of no other.
func TestRevoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) { withMembers(s) })
		token, _ := site.issue()
		a, b := site.connect(), site.connect()
		defer a.stop()
		defer b.stop()
		a.run("C: {romeo}\nC: {plain}{agent}<bind{bind2}/>{end}\n" + bare)
		b.run("C: {romeo}\nC: {plain}" + agentB + "<bind{bind2}/>{end}\n" + bare)
		list, err := site.x.Devices(t.Context(), site.host.Mux(), romeo)
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		phone := list[0]
		if phone.Device != "Phone" {
			phone = list[1]
		}
		if !phone.Connected || !phone.Password || !phone.Token || phone.Software != "Hive" {
			t.Errorf("got %+v", phone)
		}
		m := site.host.Mux()
		if err := site.x.Revoke(t.Context(), m, romeo, "nobody"); !errors.Is(err, sasl2.ErrNoClient) {
			t.Errorf("error %v", err)
		}
		if err := site.x.Revoke(t.Context(), m, mux.MustParseAddress("mallory@example.net"), phone.ID); !errors.Is(err, sasl2.ErrNoClient) {
			t.Errorf("error %v", err)
		}
		if err := site.x.Revoke(t.Context(), m, romeo, phone.ID); err != nil {
			t.Fatal(err)
		}
		a.expect("{error not-authorized}")
		b.run("C: <iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\nS: <iq from='romeo@example.net' to='" + b.full + "' type='result' id='2'/>")
		site.expectUse(attempt{token: token}, "not-authorized")
		if n := len(m.Sessions(romeo)); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestOlderBind: a session that was bound in the older way after SASL2 is the
// client's, too.
func TestOlderBind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}{agent}{end}\n" + success +
			"C: <iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>\n" +
			"S: <iq to='romeo@example.net/x' type='result' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@example.net/x</jid></bind></iq>\n")
		list, err := site.x.Devices(t.Context(), site.host.Mux(), romeo)
		if err != nil || len(list) != 1 || !list[0].Connected {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := site.x.Revoke(t.Context(), site.host.Mux(), romeo, list[0].ID); err != nil {
			t.Fatal(err)
		}
		p.expect("{error not-authorized}")
	})
}

// TestClientListFails: a store that does not answer.
func TestClientListFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(failing)
		site := fasts(t, func(s *setup) { s.store = store })
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}<bind{bind2}/>{end}\n" + bare)
		store.reads = true
		for _, el := range []string{askList, nobody} {
			p.send(el)
			if got := p.take(); !strings.Contains(got, expand("<internal-server-error{stanzas}/>")) {
				t.Errorf("got %s", got)
			}
		}
		store.reads = false
		site.auth.down = errors.New("down")
		p.send(nobody)
		if got := p.take(); !strings.Contains(got, expand("<internal-server-error{stanzas}/>")) {
			t.Errorf("got %s", got)
		}
		if _, err := site.x.Devices(t.Context(), site.host.Mux(), romeo); err == nil {
			t.Error("no error")
		}
	})
}

// TestRetention: who has not been there for long is not listed.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t, func(s *setup) { s.opt.Retention = 24 * time.Hour })
		site.issue()
		devices := func() int {
			list, err := site.x.Devices(t.Context(), site.host.Mux(), romeo)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		time.Sleep(24 * time.Hour)
		if n := devices(); n != 1 {
			t.Errorf("%d clients", n)
		}
		time.Sleep(time.Second)
		if n := devices(); n != 0 {
			t.Errorf("%d clients", n)
		}
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + agentB + "{end}\n" + success)
		if list, _ := site.store.Clients(t.Context(), romeo); len(list) != 1 {
			t.Errorf("kept %+v", list)
		}
	})
}

// TestNoStore: without a store there is no list, and everything else works.
func TestNoStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		x := sasl2.New(site.auth, nil, nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
		if list, err := x.Devices(context.Background(), h.Mux(), romeo); list != nil || err != nil {
			t.Errorf("%+v, %v", list, err)
		}
		if err := x.Revoke(context.Background(), h.Mux(), romeo, "x"); !errors.Is(err, sasl2.ErrNoClient) {
			t.Errorf("error %v", err)
		}
		site.host = h
		h.AddAccount("romeo@example.net")
		site.negotiates()
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}" + wants + "<bind{bind2}/>{end}\n" + bare)
		p.send(askList)
		if got := p.take(); !strings.Contains(got, "service-unavailable") {
			t.Errorf("got %s", got)
		}
	})
}

// TestRegister: what cannot work is an error at once.
func TestRegister(t *testing.T) {
	t.Parallel()
	if _, err := mux.New(nil, nil, sasl2.New(nil, nil, nil)); err == nil {
		t.Error("no error without mechanisms")
	}
	if _, err := mux.New(nil, nil, sasl2.New(newAuth(), nil, &sasl2.Options{Tokens: []string{"HT-MD5-NONE"}})); err == nil {
		t.Error("no error with an unknown mechanism for tokens")
	}
}
