package signup_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// TestAccount: with an invitation an account is made in the browser, once.
func TestAccount(t *testing.T) {
	t.Parallel()
	var audits []register.Audit
	s := newSite(t, register.Options{Policy: register.ByInvite, Audit: func(_ context.Context, a register.Audit) { audits = append(audits, a) }}, signup.Options{})
	token := s.invite(t, register.Invite{})
	b := s.at(t, "192.0.2.7:4711")
	p := b.get("/invite/" + token)
	b.signUp(p, "Bi ll", password).want(t, 422, "This name is not possible")
	done := b.signUp(p, "Bill", password)
	done.want(t, 200, "Your account is ready", "bill@"+domain)
	if !s.has(t, "bill@"+domain, password) {
		t.Error("nobody can log in")
	}
	b.signUp(p, "bob", password).want(t, 404, "This invitation cannot be used")
	b.get("/invite/"+token).want(t, 404, "This invitation cannot be used")
	if a := audits[len(audits)-1]; a.Path != register.Web || a.Source.String() != "192.0.2.7" || a.Account.String() != "bill@"+domain || a.Invite != register.IDOf(token) || a.Err != nil {
		t.Errorf("audit %+v", a)
	}
}

// TestTwice: the same form once more, at the same time or later, is no second try; what
// differs in anything is (a double click, a page that is loaded again).
func TestTwice(t *testing.T) {
	t.Parallel()
	var made, tries atomic.Int32
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{},
		Before:  func(context.Context, *register.Request, mux.Address) error { tries.Add(1); return nil },
		Created: func(context.Context, mux.Address, netip.Addr) { made.Add(1) }}, signup.Options{})
	b := s.browser(t)
	p := b.get("/invite/" + s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(inviter), MayRegister: true}))
	var wg sync.WaitGroup
	for range 10 {
		c := s.browser(t)
		for name, value := range b.cookies {
			c.cookies[name] = value
		}
		wg.Go(func() { c.signUp(p, "bill", password).want(t, 200, "Your account is ready", "bill@"+domain, inviter) })
	}
	wg.Wait()
	b.signUp(p, "bill", password).want(t, 200, "bill@"+domain)
	if made.Load() != 1 || tries.Load() != 1 {
		t.Errorf("%d accounts, %d tries", made.Load(), tries.Load())
	}
	b.signUp(p, "bill", password+"!").want(t, 404, "cannot be used")
	b.signUp(p, "Bill", password).want(t, 404, "cannot be used")
	c := s.browser(t) // without the cookie
	c.signUp(p, "bill", password).want(t, 404, "cannot be used")

	// What has failed can be tried again as it is.
	if err := s.service.Create(t.Context(), "bob@"+domain, "something else"); err != nil {
		t.Fatal(err)
	}
	p = b.get("/invite/" + s.invite(t, register.Invite{}))
	b.signUp(p, "bob", password).want(t, 409, "taken")
	if err := s.service.Remove(t.Context(), "bob@"+domain); err != nil {
		t.Fatal(err)
	}
	b.signUp(p, "bob", password).want(t, 200, "bob@"+domain)
}

// TestGone: phones forget pages and open them again; whoever has used an invitation is
// not told to need one.
func TestGone(t *testing.T) {
	t.Parallel()
	for policy, more := range map[register.Policy]string{register.Open: "Create an account", register.ByApproval: "Create an account", register.ByInvite: "!Create", register.Closed: "!Create"} {
		s := newSite(t, register.Options{Policy: policy}, signup.Options{URL: "https://example.org/chat"})
		p := s.browser(t).get("/chat/account")
		p.want(t, 404, "log in with it in an app", "open your link again", more)
		if more[0] != '!' && !strings.Contains(p.raw, `href="/chat/register"`) {
			t.Errorf("page %s", p.raw)
		}
	}
}

// TestFixedNameTaken: who cannot choose another name is not asked to.
func TestFixedNameTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	b := s.browser(t)
	p := b.get("/invite/" + s.invite(t, register.Invite{Name: "bill"}))
	if err := s.service.Create(t.Context(), "bill@"+domain, "something else"); err != nil {
		t.Fatal(err)
	}
	b.signUp(p, "", password).want(t, 404, "This invitation cannot be used", "!another")
}

// TestTyped: keyboards add spaces, and some people type their whole address.
func TestTyped(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}}, signup.Options{})
	b := s.browser(t)
	for text, want := range map[string]string{" Bill ": "bill@", "bob@" + domain: "bob@", "Carol@" + strings.ToUpper(domain) + " ": "carol@"} {
		b.signUp(b.get("/register"), text, password).want(t, 200, want+domain)
	}
	for _, text := range []string{"dave@elsewhere.example", "@" + domain, "e@" + domain + "@" + domain, "f@" + domain + "/x"} {
		if p := b.signUp(b.get("/register"), text, password); p.StatusCode != 422 {
			t.Errorf("%q: %d %s", text, p.StatusCode, p.text)
		}
	}
}

// TestDomainGone: nobody gets an account at a domain that is not served any more, not
// even by a page that was open before.
func TestDomainGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	token := s.invite(t, register.Invite{Domain: "other.example"})
	b := s.browser(t)
	p := b.get("/invite/" + token)
	p.want(t, 200, "@other.example")
	s.served.Store(&[]string{domain})
	b.get("/invite/"+token).want(t, 404, "This invitation cannot be used")
	b.signUp(p, "bill", password).want(t, 404, "This invitation cannot be used")
	if s.has(t, "bill@other.example", password) {
		t.Error("an account was made")
	}
}

// TestFixedName: a name that was chosen is not edited, whatever the form says
// (auth-register IV-5).
func TestFixedName(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	b := s.browser(t)
	p := b.get("/invite/" + s.invite(t, register.Invite{Name: "bill"}))
	if !strings.Contains(p.raw, `value="bill"`) || !strings.Contains(p.raw, `readonly="readonly"`) {
		t.Errorf("form %s", p.raw)
	}
	b.signUp(p, "mallory", password).want(t, 200, "bill@"+domain)
	if s.has(t, "mallory@"+domain, password) || !s.has(t, "bill@"+domain, password) {
		t.Error("another account was made")
	}
}

// TestRefused: what is wrong is said beside the form, which keeps the name and never the
// password; no account is made and the invitation stays (XEP-0077 §3.1; auth-register IV-3).
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}}, signup.Options{})
	if _, err := s.people.SignUp(t.Context(), register.Request{Path: register.Operator, Domain: domain, Name: "romeo", Password: "something else"}); err != nil {
		t.Fatal(err)
	}
	s.invite(t, register.Invite{Name: "promised"})
	token := s.invite(t, register.Invite{})
	b := s.browser(t)
	p := b.get("/invite/" + token)
	for _, tt := range []struct {
		name, username, password string
		status                   int
		words                    string
	}{
		{"taken", "romeo", password, 409, "This name is taken"},
		{"other case", "ROMEO", password, 409, "This name is taken"},
		{"reserved", "admin", password, 409, "This name is taken"},
		{"promised to somebody", "promised", password, 409, "This name is taken"},
		{"looks alike", "r\u043emeo", password, 409, "This name is taken"},
		{"no name", "", password, 422, "choose a name"},
		{"not a name", "a@b", password, 422, "not possible"},
		{"control character", "a\x07b", password, 422, "not possible"},
		{"long name", strings.Repeat("a", 1000), password, 422, "not possible"},
		{"no password", "bill", "", 422, "choose a name and a password"},
		{"short password", "bill", "hungry", 422, "too weak"},
		{"common password", "bill", "iloveyou", 422, "too weak"},
		{"markup", `"><script>alert(1)</script>`, password, 422, "not possible"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := b.signUp(p, tt.username, tt.password)
			got.want(t, tt.status, tt.words)
			if f := got.form(); f.Get("password") != "" || f.Get("username") != strings.ReplaceAll(tt.username, "\x07", "") {
				t.Errorf("form %v", f)
			}
			if strings.Contains(got.raw, "<script>alert") || tt.password != "" && strings.Contains(got.raw, `"`+tt.password+`"`) {
				t.Errorf("page %s", got.raw)
			}
		})
	}
	b.signUp(p, "bill", password).want(t, 200, "bill@"+domain)
}

// TestForms: what is no form of ours is refused before anybody is asked (auth-register
// WB-1).
func TestForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}}, signup.Options{URL: "https://pages.example"})
	b := s.browser(t)
	p := b.get("/register")
	good := func() url.Values {
		f := p.form()
		f.Set("username", "bill")
		f.Set("password", password)
		return f
	}
	for _, tt := range []struct {
		name   string
		change func(f url.Values)
		header map[string]string
		status int
		words  string
	}{
		{"from another site", nil, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "another site"},
		{"from a neighbour", nil, map[string]string{"Sec-Fetch-Site": "same-site"}, 403, "another site"},
		{"other origin, older browser", nil, map[string]string{"Origin": "https://evil.example"}, 403, "another site"},
		{"no origin, newer browser", nil, map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403, "another site"},
		{"no origin, and a value of somebody else", nil, map[string]string{"Origin": "null", "Cookie": "signup=AAAAAAAAAAAAAAAAAAAAAAAAAA"}, 403, "send the form again"},
		{"no origin, and no cookie", nil, map[string]string{"Origin": "null", "Cookie": ""}, 403, "send the form again"},
		{"no cookie", nil, map[string]string{"Cookie": ""}, 403, "send the form again"},
		{"another cookie", nil, map[string]string{"Cookie": "signup=AAAAAAAAAAAAAAAAAAAAAAAAAA"}, 403, "send the form again"},
		{"no value", func(f url.Values) { f.Del("form") }, nil, 403, "send the form again"},
		{"a value that is none", func(f url.Values) { f.Set("form", "x") }, nil, 403, "send the form again"},
		{"two names", func(f url.Values) { f.Add("username", "bob") }, nil, 400, "could not be read"},
		{"two passwords that differ", func(f url.Values) { f.Set("again", "x") }, nil, 422, "differ"},
		{"long name", func(f url.Values) { f.Set("username", strings.Repeat("a", 1024)) }, nil, 400, "could not be read"},
		{"long password", func(f url.Values) { f.Set("password", strings.Repeat("a", 1025)) }, nil, 400, "could not be read"},
		{"long reason", func(f url.Values) { f.Set("reason", strings.Repeat("a", 2001)) }, nil, 400, "could not be read"},
		{"long token", func(f url.Values) { f.Set("token", strings.Repeat("a", 129)) }, nil, 400, "could not be read"},
		{"too much", func(f url.Values) { f.Set("x", strings.Repeat("a", 17<<10)) }, nil, 413, "too much"},
		{"other domain", func(f url.Values) { f.Set("domain", "elsewhere.example") }, nil, 400, "could not be read"},
		{"no text", func(f url.Values) { f.Set("username", "\xff") }, nil, 400, "could not be read"},
		{"no domain", func(f url.Values) { f.Del("domain") }, nil, 400, "could not be read"},
		{"a token that is none", func(f url.Values) { f.Set("token", "x") }, nil, 404, "cannot be used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := good()
			if tt.change != nil {
				tt.change(f)
			}
			c := s.browser(t)
			for name, value := range b.cookies {
				c.cookies[name] = value
			}
			for name, value := range tt.header {
				if name == "Cookie" {
					c.cookies = nil
				}
				c.header.Set(name, value)
			}
			if c.cookies == nil {
				c.cookies = make(map[string]string)
			}
			c.post("/account", f).want(t, tt.status, tt.words)
		})
	}
	for name, kind := range map[string]string{"plain text": "text/plain", "JSON": "application/json", "none": "", "several parts": "multipart/form-data; boundary=x"} {
		b.do("POST", "/account", kind, good().Encode()).want(t, 400, "could not be read")
		_ = name
	}
	b.do("POST", "/account", formType, "a=%zz").want(t, 400, "could not be read")
	if s.has(t, "bill@"+domain, password) {
		t.Error("an account was made")
	}
	// Older browsers hide the origin of pages that tell no referrer.
	c := s.browser(t)
	c.header.Set("Origin", "null")
	c.signUp(c.get("/register"), "older", password).want(t, 200, "older@"+domain)
	// What comes through a proxy is from another host by name.
	b.header.Set("Origin", "https://pages.example")
	b.post("/account", good()).want(t, 200, "bill@"+domain)
}

// TestOtherForm: the value of a form is for its invitation alone, and for a time.
func TestOtherForm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.Open, Limiter: register.Unlimited{}}, signup.Options{})
		b := s.browser(t)
		p, q := b.get("/invite/"+s.invite(t, register.Invite{})), b.get("/invite/"+s.invite(t, register.Invite{}))
		f := q.form()
		f.Set("form", p.form().Get("form"))
		f.Set("username", "bill")
		f.Set("password", password)
		again := b.post("/account", f)
		again.want(t, http.StatusForbidden, "send the form again")
		if again.form().Get("username") != "bill" {
			t.Error("the name is gone")
		}
		time.Sleep(2*time.Hour + time.Second)
		b.signUp(p, "bill", password).want(t, http.StatusForbidden, "open for too long")
		b.signUp(again, "bill", password).want(t, http.StatusForbidden, "open for too long")
		b.signUp(b.signUp(again, "bill", password), "bill", password).want(t, 200, "bill@"+domain)
		time.Sleep(2 * time.Minute)
	})
}

// TestReset: a link for a new password, also where registration is closed
// (auth-register IV-9).
func TestReset(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{}, signup.Options{})
	if err := s.service.Create(t.Context(), inviter, "the old password"); err != nil {
		t.Fatal(err)
	}
	c := s.Connect(t, inviter+"/orchard")
	b := s.browser(t)
	p := b.get("/invite/" + s.invite(t, register.Invite{Kind: register.ForReset, Name: "romeo"}))
	b.signUp(p, "juliet", "short").want(t, 422, "too weak")
	b.signUp(p, "juliet", password).want(t, 200, "Your new password is set", inviter)
	c.ExpectClosed("reset")
	if !s.has(t, inviter, password) {
		t.Error("the old password counts")
	}
	b.signUp(p, "", password).want(t, 404, "cannot be used")
}

// TestContactOnly: no account is made with an invitation to a contact list, though the
// page is shown.
func TestContactOnly(t *testing.T) {
	t.Parallel()
	for _, policy := range []register.Policy{register.Closed, register.ByInvite, register.Open} {
		s := newSite(t, register.Options{Policy: policy}, signup.Options{})
		token := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(inviter)})
		b := s.browser(t)
		p := b.get("/invite/" + token)
		p.want(t, 200, inviter+" invites you to chat", "!Create")
		if policy == register.Open {
			f := b.get("/register").form()
			f.Set("token", token)
			b.signUp(p, "", "").want(t, 400) // there is no form
			f.Set("username", "bill")
			f.Set("password", password)
			if q := b.post("/account", f); q.StatusCode == 200 {
				t.Errorf("made: %s", q.text)
			}
		}
		if s.has(t, "bill@"+domain, password) {
			t.Error("an account was made")
		}
	}
}

// TestBadTokens: all that is wrong with a token looks the same, and counts for the address
// (auth-register IV-6, WB-2), whichever way it was shown.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	expired := s.invite(t, register.Invite{Expires: time.Now().Add(-time.Minute)})
	revoked := s.invite(t, register.Invite{})
	if err := s.people.RevokeInvite(t.Context(), mux.Address{}, register.IDOf(revoked).String()); err != nil {
		t.Fatal(err)
	}
	b := s.at(t, "192.0.2.1:1")
	var text string
	for n, token := range []string{expired, revoked, "wrong", strings.Repeat("a", 500), "%00", "a%2Fb", expired, revoked, "wrong", "x"} {
		p := b.get("/invite/" + token)
		if text == "" {
			text = p.text
		}
		if p.StatusCode != 404 || p.text != text {
			t.Errorf("%d: %d %s, want what the first got", n, p.StatusCode, p.text)
		}
	}
	ask := s.inBand(t, "192.0.2.1:2")
	for range 4 {
		if err := ask(preauth("wrong")); err == nil {
			t.Error("a wrong token is right")
		}
	}
	for range 6 {
		b.post("/invite/", url.Values{"code": {"wrong"}}).want(t, 404)
	}
	good := s.invite(t, register.Invite{})
	if p := b.get("/invite/" + good); p.StatusCode != 429 || p.Header.Get("Retry-After") == "" {
		t.Errorf("the twenty-first try: %d %s", p.StatusCode, p.text)
	}
	if err := s.inBand(t, "192.0.2.1:3")(preauth(good)); err == nil {
		t.Error("in-band nobody has counted")
	}
	s.at(t, "192.0.2.2:1").get("/invite/"+good).want(t, 200)
}

// TestEmbedded: pages of others do not have their visitors try tokens (auth-register WB-2).
func TestEmbedded(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	b := s.at(t, "192.0.2.1:1")
	for _, dest := range []string{"image", "iframe", "empty", "script"} {
		b.header.Set("Sec-Fetch-Dest", dest)
		for range 10 {
			b.get("/invite/wrong").want(t, 403, "another site")
		}
	}
	b.header.Set("Sec-Fetch-Dest", "document")
	b.get("/invite/"+s.invite(t, register.Invite{})).want(t, 200)
}

// TestLimits: the web and in-band registration share their limits (auth-register AB-1,
// WB-1).
func TestLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{})
	b := s.at(t, "[2001:db8::1]:1")
	b.signUp(b.get("/register"), "one", password).want(t, 200)
	if err := s.inBand(t, "[2001:db8::2]:1")(create("two")); err != nil {
		t.Fatal(err)
	}
	p := b.get("/register")
	b.signUp(p, "three", password).want(t, 200)
	b.signUp(p, "four", password).want(t, 429, "Please try again later")
	if err := s.inBand(t, "[2001:db8::3]:1")(create("five")); err == nil {
		t.Error("a fifth account")
	}
	if s.has(t, "four@"+domain, password) || s.has(t, "five@"+domain, password) {
		t.Error("an account was made")
	}
}

// TestOneToken: of a browser and a client that hold one token one wins, a hundred times
// (auth-register IV-3, scenario 29).
func TestOneToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}}, signup.Options{})
	b := s.browser(t)
	for n := range 100 {
		token := s.invite(t, register.Invite{})
		p := b.get("/invite/" + token)
		ask := s.inBand(t, "192.0.2.1:1")
		if err := ask(preauth(token)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var web int
		var ibr error
		wg.Go(func() { web = b.signUp(p, fmt.Sprintf("web%d", n), password).StatusCode })
		wg.Go(func() { ibr = ask(create(fmt.Sprintf("client%d", n))) })
		wg.Wait()
		if (web == 200) == (ibr == nil) || web != 200 && web != 404 {
			t.Fatalf("web %d, in-band %v; want one account", web, ibr)
		}
		if s.has(t, fmt.Sprintf("web%d@%s", n, domain), password) != (web == 200) || s.has(t, fmt.Sprintf("client%d@%s", n, domain), password) != (ibr == nil) {
			t.Fatal("the accounts are not those that were promised")
		}
	}
}

// TestFailures: a store that fails, a veto and a full queue are no account, and no detail
// goes out.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		status int
		words  string
	}{
		{"veto with a reason", &mux.Error{Stanza: stanza.Error{Type: stanza.Cancel, Condition: stanza.Forbidden, Text: map[string]string{"en": "Not on Mondays <b>"}}}, 403, "Not on Mondays <b>"},
		{"veto", stanza.Error{Type: stanza.Cancel, Condition: stanza.Forbidden}, 403, "have decided so"},
		{"busy", register.ErrBusy, 503, "in a moment"},
		{"queue", register.ErrQueueFull, 503, "Too many people"},
		{"failure", errors.New("disk on fire"), 500, "Something went wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, register.Options{Policy: register.Open, Before: func(context.Context, *register.Request, mux.Address) error { return tt.err }}, signup.Options{})
			b := s.browser(t)
			b.signUp(b.get("/register"), "bill", password).want(t, tt.status, tt.words, "!disk on fire")
			if s.has(t, "bill@"+domain, password) {
				t.Error("an account was made")
			}
		})
	}
}

// brokenStore is one that may fail.
type brokenStore struct {
	register.Memory
	down atomic.Bool
}

var errDown = errors.New("disk on fire")

func (s *brokenStore) Invite(ctx context.Context, id register.InviteID) (register.Invite, error) {
	if s.down.Load() {
		return register.Invite{}, errDown
	}
	return s.Memory.Invite(ctx, id)
}

func (s *brokenStore) Admit(a register.Admission) register.Also {
	if s.down.Load() {
		return func(context.Context, any) (refusal, err error) { return nil, errDown }
	}
	return s.Memory.Admit(a)
}

// TestStoreDown: what cannot be looked up or written is no account, by none of the ways to
// one, no different for tokens that are none; a limiter that cannot tell refuses (scenario
// 38).
func TestStoreDown(t *testing.T) {
	t.Parallel()
	store := new(brokenStore)
	s := newSite(t, register.Options{Policy: register.Open, Store: store, Limiter: register.Unlimited{}}, signup.Options{})
	token := s.invite(t, register.Invite{})
	b := s.browser(t)
	invited, stranger := b.get("/invite/"+token), b.get("/register")
	store.down.Store(true)
	var text string
	for _, p := range []*page{b.get("/invite/" + token), b.get("/invite/none"), b.post("/invite/", url.Values{"code": {token}}),
		b.signUp(invited, "bill", password), b.signUp(stranger, "bill", password)} {
		p.want(t, 500, "Something went wrong", "!disk")
		if text == "" {
			text = p.text
		}
		if p.text != text {
			t.Errorf("%s differs from %s", p.text, text)
		}
	}
	if s.has(t, "bill@"+domain, password) {
		t.Error("an account was made")
	}
	store.down.Store(false)
	b.signUp(invited, "bill", password).want(t, 200, "bill@"+domain) // the same form, which had failed

	s = newSite(t, register.Options{Policy: register.Open, Limiter: blind{}}, signup.Options{})
	b = s.browser(t)
	b.get("/invite/x").want(t, 429)
	b.signUp(b.get("/register"), "bill", password).want(t, 429)
	if s.has(t, "bill@"+domain, password) {
		t.Error("an account was made without a limit")
	}
}

// blind is a limiter that cannot tell.
type blind struct{}

func (blind) Begin(netip.Addr, string) (func(register.Ending), time.Duration) { return nil, 0 }

// TestEntry: what people type or paste where the token of a fragment is to be.
func TestEntry(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}}, signup.Options{})
	token := s.invite(t, register.Invite{})
	b := s.browser(t)
	for _, code := range []string{token, " " + token + "\n", "https://example.org/invite/#" + token, "https://example.org/invite/" + token, "xmpp:" + domain + "?register;preauth=" + token} {
		b.post("/invite/", url.Values{"code": {code}}).want(t, 200, "You are invited to chat")
	}
	for _, code := range []string{"", "https://example.org/", "xmpp:" + domain, "#"} {
		b.post("/invite/", url.Values{"code": {code}}).want(t, 404, "cannot be used")
	}
	if p := b.get("/invite"); p.StatusCode != 303 || p.Header.Get("Location") != "/invite/" {
		t.Errorf("without a slash: %d %v", p.StatusCode, p.Header)
	}
	if p := b.do("HEAD", "/invite/"+token, "", ""); p.StatusCode != 200 {
		t.Errorf("HEAD: %d", p.StatusCode)
	}
}
