package register_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

const (
	get = "<iq type='get' id='1'><query xmlns='" + register.NS + "'/></iq>"

	closed     = "cancel service-unavailable 503"
	badRequest = "modify bad-request 400"
	unwanted   = "modify not-acceptable 406"
	conflict   = "cancel conflict 409"
	limited    = "wait policy-violation 405"
	unexpected = "wait unexpected-request 400"
	internal   = "wait internal-server-error 500"
)

// TestRegister: the whole way of somebody new (XEP-0077 §3.1).
func TestRegister(t *testing.T) {
	t.Parallel()
	store := new(scram.Memory)
	var made []string
	h := muxtest.New(t, nil, register.New(service(store), &register.Options{
		Policy: register.Open,
		Created: func(_ context.Context, account mux.Address, source netip.Addr) {
			made = append(made, account.String()+" "+source.String())
		},
	}))
	s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
	if got, want := s.listed(), "<register xmlns='"+register.NSFeature+"'/>"; got != want {
		t.Errorf("feature %s, want %s", got, want)
	}
	if s.f.Forbids != mux.Authenticated || s.f.Deadline != 5*time.Minute {
		t.Errorf("the feature forbids %b and has the deadline %v", s.f.Forbids, s.f.Deadline)
	}
	want := "<query xmlns='jabber:iq:register'><instructions>" + register.DefaultInstructions + "</instructions><username></username><password/><x "
	if got := s.ask(get); !strings.HasPrefix(got, want) {
		t.Errorf("fields %s, want %s", got, want)
	}
	if got := s.create("Bill", password); got != "" {
		t.Errorf("answer %q", got)
	}
	if !matches(t, store, "bill@example.net", password) {
		t.Error("the account cannot log in")
	}
	if len(made) != 1 || made[0] != "bill@example.net 192.0.2.1" {
		t.Errorf("told of %q", made)
	}
	if s.st.State()&mux.Authenticated != 0 || !s.st.Account().IsZero() {
		t.Error("registration logged in")
	}
	// RG-8: one for each stream; what is offered again is not.
	if got := s.create("ben", password); got != unwanted {
		t.Errorf("second account: %q, want %q", got, unwanted)
	}
	if s.listed() != "" {
		t.Error("offered again")
	}
	if other := newStranger(t, h, mux.Client, "192.0.2.2:5000"); other.create("bill", password) != conflict {
		t.Error("made a second time")
	}
}

// TestUnknownFields: what was not asked for says nothing (XEP-0077 §4).
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	store := new(scram.Memory)
	h := muxtest.New(t, nil, register.New(service(store), &register.Options{Policy: register.Open}))
	s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
	got := s.ask("<iq type='set' id='2'>" + set("<key>1</key>text<username>bill</username><email>bill@example.org</email><email/>"+
		"<password><![CDATA["+password+"]]></password><username xmlns='urn:example'>ben</username>") + "</iq>")
	if got != "" || !matches(t, store, "bill@example.net", password) {
		t.Errorf("answer %q, or another account", got)
	}
}

// TestRefused: what is answered to a set of somebody unknown, and that it makes
// no account (XEP-0077 §3.1, §3.2; auth-register §2.10).
func TestRefused(t *testing.T) {
	t.Parallel()
	name, word := "<username>bill</username>", "<password>"+password+"</password>"
	tests := []struct{ name, fields, want string }{
		{"no fields", "", unwanted},
		{"no username", word, unwanted},
		{"empty username", "<username/>" + word, unwanted},
		{"no password", name, unwanted},
		{"empty password", name + "<password/>", unwanted},
		{"empty password, open and closed", name + "<password></password>", unwanted},
		{"username twice", name + name + word, badRequest},
		{"password twice", name + word + word, badRequest},
		{"element in the username", "<username>bill<b/></username>" + word, badRequest},
		{"element in the password", name + "<password><b>" + password + "</b></password>", badRequest},
		{"form and fields", name + word + "<x xmlns='jabber:x:data' type='submit'/>", badRequest},
		{"two forms", "<x xmlns='jabber:x:data' type='submit'/><x xmlns='jabber:x:data' type='submit'/>", badRequest},
		{"form alone", "<x xmlns='jabber:x:data' type='submit'/>", badRequest},
		{"username of another namespace", "<username xmlns='urn:example'>bill</username>" + word, unwanted},
		{"remove", "<remove/>", unexpected},
		{"remove with credentials", name + word + "<remove/>", unexpected},
		{"remove twice", "<remove/><remove/>", badRequest},
		{"short password", name + "<password>1234567</password>", unwanted},
		{"common password", name + "<password>password</password>", unwanted},
		{"long password", name + "<password>" + strings.Repeat("x", 2000) + "</password>", unwanted},
		{"forbidden password", name + "<password>correct horse&#x9;</password>", unwanted},
		{"forbidden name", "<username>bill@example.net</username>" + word, unwanted},
		{"name with a space", "<username>bill the kid</username>" + word, unwanted},
		{"long name", "<username>" + strings.Repeat("x", 65) + "</username>" + word, unwanted},
		{"huge name", "<username>" + strings.Repeat("x", 20_000) + "</username>" + word, unwanted},
		{"sharp s", "<username>stra\u00dfe</username>" + word, unwanted},
		{"ligature", "<username>\ufb00</username>" + word, unwanted},
		{"long s", "<username>\u017fam</username>" + word, unwanted},
		{"taken", "<username>juliet</username>" + word, conflict},
		{"taken, in upper case", "<username>JULIET</username>" + word, conflict},
		{"taken, full width", "<username>\uff4auliet</username>" + word, conflict},
		{"reserved", "<username>admin</username>" + word, conflict},
		{"reserved, full width", "<username>\uff21dmin</username>" + word, conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := new(counting)
			accounts := service(store)
			if err := accounts.Create(t.Context(), "juliet@example.net", password); err != nil {
				t.Fatal(err)
			}
			h := muxtest.New(t, nil, register.New(accounts, &register.Options{Policy: register.Open}))
			s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
			if got := s.ask("<iq type='set' id='2'>" + set(tt.fields) + "</iq>"); got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
			if store.made != 1 {
				t.Errorf("%d accounts, want juliet's alone", store.made)
			}
			if s.listed() == "" {
				t.Error("no second try")
			}
		})
	}
}

// counting counts accounts, and looks at any.
type counting struct {
	scram.Memory
	made, looked int
}

func (c *counting) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	c.looked++
	return c.Memory.Credentials(ctx, account)
}

func (c *counting) Create(ctx context.Context, account string, cr scram.Credentials, also ...scram.Also) (int64, error) {
	gen, err := c.Memory.Create(ctx, account, cr, also...)
	if err == nil {
		c.made++
	}
	return gen, err
}

// TestClosed: RG-1, RG-2, RG-11: not offered, and refused.
func TestClosed(t *testing.T) {
	t.Parallel()
	const toOther = "<iq type='get' to='example.org' id='1'><query xmlns='" + register.NS + "'/></iq>"
	const toNothing = "<iq type='get' to='@' id='1'><query xmlns='" + register.NS + "'/></iq>"
	tests := []struct {
		name   string
		open   bool
		role   mux.Role
		secure bool
		ask    string
		want   string
	}{
		{"get", false, mux.Client, true, get, closed},
		{"set", false, mux.Client, true, "<iq type='set' id='1'>" + set("<username>bill</username><password>x</password>") + "</iq>", closed},
		{"another server", true, mux.Server, true, get, closed},
		{"a component", true, mux.Component, true, get, closed},
		{"without TLS", true, mux.Client, false, get, "modify policy-violation 405"},
		{"closed without TLS", false, mux.Client, false, get, closed},
		{"another domain", true, mux.Client, true, toOther, "stream not-authorized"},
		{"no domain", true, mux.Client, true, toNothing, "stream not-authorized"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := muxtest.New(t, nil, register.New(service(new(scram.Memory)), &register.Options{Policy: map[bool]register.Policy{true: register.Open}[tt.open]}))
			s := newStranger(t, h, tt.role, "192.0.2.1:5000")
			if !tt.secure {
				s.st = h.Mux().NewStream(conn{}, mux.Client)
				s.st.SetDomain(domain)
			}
			offered := tt.open && tt.role == mux.Client && tt.secure
			if got := s.listed() != ""; got != offered {
				t.Errorf("offered %t", got)
			}
			if got := s.ask(tt.ask); got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
	// To our domain by name is the same as without an address.
	h := muxtest.New(t, nil, register.New(service(new(scram.Memory)), &register.Options{Policy: register.Open, Instructions: "Speak & enter"}))
	s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
	got := s.ask("<iq type='get' to='example.net' id='1'><query xmlns='" + register.NS + "'/></iq>")
	if !strings.Contains(got, "<instructions>Speak &amp; enter</instructions>") {
		t.Errorf("fields %s", got)
	}
}

// TestBrokenStore: a failure is the server's and makes nothing.
func TestBrokenStore(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for name, store := range map[string]*broken{"read": {read: down}, "create": {create: down}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := muxtest.New(t, nil, register.New(service(store), &register.Options{Policy: register.Open}))
			s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
			if got := s.create("bill", password); got != internal {
				t.Errorf("answer %q, want %q", got, internal)
			}
		})
	}
	// What was read as free may be taken a moment later; and there may be too much
	// to do.
	for err, want := range map[error]string{scram.ErrExists: conflict, scram.ErrBusy: "wait resource-constraint 500"} {
		h := muxtest.New(t, nil, register.New(service(&broken{create: err}), &register.Options{Policy: register.Open}))
		if got := newStranger(t, h, mux.Client, "192.0.2.1:5000").create("bill", password); got != want {
			t.Errorf("%v: answer %q, want %q", err, got, want)
		}
	}
}

// TestRace: RG-7, of two that want one name at once, one gets it.
func TestRace(t *testing.T) {
	t.Parallel()
	store := new(scram.Memory)
	h := muxtest.New(t, nil, register.New(service(store), &register.Options{Policy: register.Open, Limiter: register.Unlimited{}}))
	const n = 8
	answers := make(chan string, n)
	var wg sync.WaitGroup
	for range n {
		s := newStranger(t, h, mux.Client, "192.0.2.1:5000")
		wg.Go(func() { answers <- s.create("bill", password) })
	}
	wg.Wait()
	close(answers)
	made := 0
	for a := range answers {
		switch a {
		case "":
			made++
		case conflict:
		default:
			t.Errorf("answer %q", a)
		}
	}
	if made != 1 {
		t.Errorf("%d accounts of one name", made)
	}
}

// TestLimited: AB-1, AB-7: the limiter is asked with the source, told the end, and
// its refusal says nothing of why.
func TestLimited(t *testing.T) {
	t.Parallel()
	var asked []string
	limiter := limiterFunc(func(source netip.Addr, d string) (func(register.Ending), time.Duration) {
		asked = append(asked, source.String()+" "+d)
		if len(asked) > 1 {
			return nil, time.Minute
		}
		return func(how register.Ending) {
			asked = append(asked, []string{"neutral", "made", "failed"}[how])
		}, 0
	})
	h := muxtest.New(t, nil, register.New(service(new(scram.Memory)), &register.Options{Policy: register.Open, Limiter: limiter}))
	if got := newStranger(t, h, mux.Client, "[2001:db8::1]:5000").create("bill", password); got != "" {
		t.Errorf("answer %q", got)
	}
	if got := newStranger(t, h, mux.Client, "192.0.2.1:5000").create("ben", password); got != limited {
		t.Errorf("answer %q, want %q", got, limited)
	}
	want := "2001:db8::1 example.net, made, 192.0.2.1 example.net"
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	// Nobody knows where this one is.
	h = muxtest.New(t, nil, register.New(service(new(scram.Memory)), &register.Options{Policy: register.Open}))
	if got := newStranger(t, h, mux.Client, "").create("bill", password); got != limited {
		t.Errorf("answer %q, want %q", got, limited)
	}
}

type limiterFunc func(netip.Addr, string) (func(register.Ending), time.Duration)

func (f limiterFunc) Begin(a netip.Addr, d string) (func(register.Ending), time.Duration) {
	return f(a, d)
}
