package register_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

// TestScenarioFlood: scenario 27: ten thousand tries from one network make no more
// accounts than the limit, whatever address of it they come from; what is refused costs
// neither a look into the store nor a key, and does not fill the log.
func TestScenarioFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(counting)
		var log strings.Builder
		h := muxtest.New(t, nil, register.New(service(store), &register.Options{Policy: register.Open, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		for n := range 10_000 {
			s := newStranger(t, h, mux.Client, fmt.Sprintf("[2001:db8:0:%x::%x]:5000", n%7, n+1))
			if got := s.create(fmt.Sprintf("user%d", n), password); got != "" && got != limited {
				t.Fatalf("try %d: %q", n, got)
			}
			time.Sleep(time.Millisecond)
		}
		if store.made != 12 || store.looked != 12 { // a /48: four times what a /64 may
			t.Errorf("%d accounts, %d looks at one, want 12", store.made, store.looked)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 10 || !strings.Contains(log.String(), "refused=1000\n") {
			t.Errorf("%d lines of log in 10 s:\n%s", lines, &log)
		}
		time.Sleep(2 * time.Minute) // for those who have to log in
	})
}

// TestScenarioNames: scenario 28.
func TestScenarioNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}})
	for n, tt := range []struct{ name, want string }{
		{"alice", ""},
		{"Alice", conflict},
		{"ALICE", conflict},
		{"\uff41\uff4c\uff49\uff43\uff45", conflict},
		{"alic\u00e9", ""},
		{"alice\u0301", conflict}, // the same as the one before
		{"stra\u00dfe", unwanted},
		{"\u017fam", unwanted},
		{"\u0430lice", conflict}, // Cyrillic
		{"a1ice", conflict},      // UTS 39: one and l
		{"\uff41\uff44\uff4d\uff49\uff4e", conflict},
		{"\u0430dmin", conflict},
		{"adrnin", conflict},
		{"b\u03bfb", ""},
	} {
		if got := s.stranger(t, n+1).create(tt.name, password); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestScenarioSilence: scenario 30: who has registered has a minute to log in.
func TestScenarioSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.Open})
		c := s.Dial(t, romeo) // any stream
		end := &closing{}
		a := s.stranger(t, 1)
		a.st = s.Mux().NewStream(end, mux.Client)
		a.st.SetDomain(domain)
		a.st.SetState(mux.Secure)
		if got := a.create("bill", password); got != limited {
			t.Fatalf("no source: %q", got)
		}
		end.known = true
		if got := a.create("bill", password); got != "" {
			t.Fatal(got)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if err := end.closed(); err != nil {
			t.Errorf("closed early: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := end.closed(); err == nil || !strings.Contains(err.Error(), "not-authorized") {
			t.Errorf("closed with %v", err)
		}
		c.Close()
	})
}

// TestRemovalInterrupted: scenario 31, PC-7: whatever step a crash comes after, the
// start finishes the removal, nobody logs in meanwhile, and nobody gets the name.
func TestRemovalInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := new(watcher)
		s := newSite(t, register.Options{Policy: register.Open}, watch)
		people := service(s.store)
		if err := people.Create(t.Context(), romeo, password); err != nil {
			t.Fatal(err)
		}
		c := s.Connect(t, romeo+"/orchard")
		s.store.removal = errors.New("down")
		token := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(romeo), MayRegister: true})
		c.Send("<iq type='set' id='1'>" + set("<remove/>") + "</iq>")
		c.Expect("<iq type='result' id='1' from='*' to='*'/>")
		c.ExpectClosed("not-authorized")
		synctest.Wait()
		cr, err := s.store.Credentials(t.Context(), romeo)
		if err != nil || !cr.Refuses() {
			t.Fatalf("credentials %+v, error %v: somebody can log in", cr, err)
		}
		if got := s.stranger(t, 1).create("romeo", password); got != conflict {
			t.Errorf("the name of somebody who is going: %q", got)
		}
		if got := s.stranger(t, 2).preauth(token); got != noToken {
			t.Errorf("his invitation: %q", got)
		}
		s.store.removal = nil
		watch.seen = nil
		if err := s.people.Start(t.Context(), s.Mux()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Credentials(t.Context(), romeo); !errors.Is(err, scram.ErrNoAccount) {
			t.Errorf("credentials after the start: %v", err)
		}
		if len(watch.seen) != 2 {
			t.Errorf("told of %q", watch.seen)
		}
		if got := s.stranger(t, 3).create("romeo", password); got != conflict {
			t.Errorf("the name of somebody who is gone: %q", got)
		}
	})
}

// TestGrace: PC-8: an account that may come back has no sessions and no logins, and goes
// when it is due.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := new(watcher)
		s := newSite(t, register.Options{Grace: 30 * 24 * time.Hour, Tombstone: -1, Policy: register.Open}, watch)
		people := service(s.store)
		if err := people.Create(t.Context(), romeo, password); err != nil {
			t.Fatal(err)
		}
		remove := func() {
			t.Helper()
			c := s.Connect(t, romeo+"/orchard")
			c.Send("<iq type='set' id='1'>" + set("<remove/>") + "</iq>")
			c.Expect("<iq type='result' id='1' from='*' to='*'/>")
			c.ExpectClosed("not-authorized")
			if active, err := people.Active(t.Context(), romeo); active || err != nil {
				t.Errorf("active %t, error %v", active, err)
			}
		}
		remove()
		if err := people.SetDisabled(t.Context(), romeo, false); err != nil {
			t.Fatal(err)
		}
		if active, _ := people.Active(t.Context(), romeo); !active {
			t.Error("it has not come back")
		}
		remove()
		time.Sleep(30*24*time.Hour + 2*time.Hour)
		synctest.Wait()
		if _, err := s.store.Credentials(t.Context(), romeo); !errors.Is(err, scram.ErrNoAccount) {
			t.Errorf("credentials: %v", err)
		}
		if got := s.stranger(t, 1).create("romeo", password); got != "" {
			t.Errorf("without tombstones: %q", got)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestApproval: the queue, with what the applicant says; bounded; the operator decides.
func TestApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made []string
		s := newSite(t, register.Options{Policy: register.ByApproval, Limiter: register.Unlimited{}, MaxWaiting: 3,
			Created: func(_ context.Context, a mux.Address, _ netip.Addr) { made = append(made, a.Local()) }})
		apply := func(n int, name string) string {
			a := s.stranger(t, n)
			if got := a.ask(get); !strings.Contains(got, "var='reason'") {
				t.Errorf("form %s", got)
			}
			return a.ask("<iq type='set' id='2'>" + set(form(register.NS, "username", name, "password", password, "reason", "I keep bees")) + "</iq>")
		}
		for n, name := range []string{"bill", "ben", "late"} {
			if got := apply(n+1, name); got != "" {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got := apply(4, "more"); got != limited {
			t.Errorf("queue full: %q", got)
		}
		waiting, err := s.people.Waiting(t.Context())
		if err != nil || len(waiting) != 3 || waiting[1].Reason != "I keep bees" || waiting[1].Source != "192.0.2.1" || len(made) > 0 {
			t.Errorf("waiting %+v, error %v; made %q", waiting, err, made)
		}
		bill, ben := mux.MustParseAddress("bill@"+domain), mux.MustParseAddress("ben@"+domain)
		people := service(s.store)
		if active, _ := people.Active(t.Context(), bill.String()); active {
			t.Error("active before approval")
		}
		if err := errors.Join(s.people.Approve(t.Context(), bill), s.people.Deny(t.Context(), ben)); err != nil {
			t.Error(err)
		}
		if active, _ := people.Active(t.Context(), bill.String()); !active || len(made) != 1 {
			t.Errorf("active %t, made %q", active, made)
		}
		if err := s.people.Approve(t.Context(), bill); !errors.Is(err, register.ErrNoApplication) {
			t.Errorf("twice: %v", err)
		}
		if got := apply(5, "ben"); got != "" {
			t.Errorf("the name of one who was denied: %q", got)
		}
		time.Sleep(31 * 24 * time.Hour) // nobody decides
		synctest.Wait()
		if waiting, err = s.people.Waiting(t.Context()); err != nil || len(waiting) > 0 {
			t.Errorf("waiting %+v, error %v", waiting, err)
		}
	})
}

// form is a submission, of names and values.
func form(typ string, pairs ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + typ + "</value></field>"
	for i := 0; i < len(pairs); i += 2 {
		b += "<field var='" + pairs[i] + "'><value>" + escape(pairs[i+1]) + "</value></field>"
	}
	return b + "</x>"
}

// TestForms: RG-5: only the form counts, and it has to be the right one.
func TestForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}})
	twice := strings.Replace(form(register.NS, "username", "bill", "password", password), "<value>bill</value>", "<value>bill</value><value>ben</value>", 1)
	for n, tt := range []struct{ fields, want string }{
		{form(register.NS, "username", "Bill", "password", password, "colour", "red"), ""},
		{form("urn:example", "username", "ben", "password", password), badRequest},
		{form(register.NS+":cancel", "username", "ben", "password", password), badRequest},
		{form(register.NS, "username", "ben"), unwanted},
		{twice, badRequest},
		{strings.Replace(form(register.NS, "username", "ben"), "submit", "form", 1), badRequest},
		{form(register.NS, "username", "ben", "username", "bob", "password", password), badRequest},
		{form(register.NS, "username", "ben", "password", password) + "<username>ben</username>", badRequest},
		{form(register.NS, "username", "ben", "password", password) + "<remove/>", badRequest},
	} {
		if got := s.stranger(t, n+1).ask("<iq type='set' id='2'>" + set(tt.fields) + "</iq>"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.fields, got, tt.want)
		}
	}
}

// TestRedirect: RG-2b, IV-7: elsewhere, but not for those with an invitation.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Redirect: "https://example.net/?a&b"})
	a := s.stranger(t, 1)
	want := "<query xmlns='jabber:iq:register'><instructions>" + register.DefaultInstructions + "</instructions><x xmlns='jabber:x:oob'><url>https://example.net/?a&amp;b</url></x></query>"
	if got := a.ask(get); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := a.create("bill", password); got != notAllowed {
		t.Errorf("set: %q", got)
	}
	if got := a.preauth(s.invite(t, register.Invite{})); got != "" {
		t.Fatal(got)
	}
	if got := a.ask(get); strings.Contains(got, "jabber:x:oob") || !strings.Contains(got, "<username></username>") {
		t.Errorf("with a token: got %s", got)
	}
	if got := a.create("bill", password); got != "" {
		t.Errorf("with a token: %q", got)
	}
}

// closing is a connection that notes with what it was closed.
type closing struct {
	known bool // where the peer is
	mu    sync.Mutex
	err   error
}

func (c *closing) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (*closing) Write([]byte) error { return nil }
func (*closing) Pending() int       { return 0 }
func (c *closing) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}
func (c *closing) RemoteAddr() net.Addr {
	if !c.known {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77), Port: 5000}
}
