package signup_test

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/web/signup"
)

const (
	domain   = muxtest.Domain
	password = "correct horse battery"
	inviter  = "romeo@" + domain
)

// logged is what goes to a log, which must hold nothing secret.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// site is a server where people register, with pages.
type site struct {
	*muxtest.Host
	accounts *scram.Memory
	service  *scram.Service
	people   *register.Extension
	pages    *signup.Handler
	log      *logged
	secrets  []string // that must not be logged
	served   atomic.Pointer[[]string]
}

// newSite makes a site. Its keys are cheap.
func newSite(t testing.TB, o register.Options, so signup.Options) *site {
	t.Helper()
	s := &site{accounts: new(scram.Memory), log: new(logged), secrets: []string{password}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Logger, so.Logger = logger, logger
	s.service = scram.NewService(s.accounts, &scram.ServiceOptions{
		Policy: scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations, Hashes: []scram.Hash{scram.SHA256}},
	})
	s.people = register.New(s.service, &o)
	s.Host = muxtest.New(t, nil, s.people)
	s.served.Store(&[]string{domain, "other.example"})
	var err error
	if s.pages, err = signup.New(s.people, func() []string { return *s.served.Load() }, &so); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, secret := range s.secrets {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, s.log)
			}
		}
	})
	return s
}

// invite makes an invitation and returns the token.
func (s *site) invite(t testing.TB, i register.Invite) string {
	t.Helper()
	if i.Domain == "" {
		i.Domain = domain
	}
	if i.Kind == 0 {
		i.Kind = register.ForAccount
	}
	made, err := s.people.Invite(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	s.secrets = append(s.secrets, made.Token)
	return made.Token
}

// has reports whether there is such an account with that password.
func (s *site) has(t testing.TB, account, password string) bool {
	t.Helper()
	c, err := s.accounts.Credentials(t.Context(), account)
	if err != nil {
		if !errors.Is(err, scram.ErrNoAccount) {
			t.Error(err)
		}
		return false
	}
	k, _ := c.Strongest()
	ok, err := k.Matches(password)
	return ok && err == nil
}

// browser is one that keeps cookies, at an address of its own.
type browser struct {
	t       testing.TB
	s       *site
	addr    string
	cookies map[string]string
	header  http.Header // of all requests
	tls     bool
}

func (s *site) browser(t testing.TB) *browser {
	return &browser{t: t, s: s, addr: "127.0.0.1:5000", cookies: make(map[string]string), header: make(http.Header)}
}

// at is a browser elsewhere, over TLS.
func (s *site) at(t testing.TB, addr string) *browser {
	b := s.browser(t)
	b.addr, b.tls = addr, true
	return b
}

// page is an answer.
type page struct {
	*http.Response
	text string // as people read it, more or less
	raw  string
}

var tag = regexp.MustCompile(`<[^>]*>`)

// do makes a request.
func (b *browser) do(method, path, kind, body string) *page {
	b.t.Helper()
	scheme := "http"
	if b.tls {
		scheme = "https"
	}
	r := httptest.NewRequest(method, scheme+"://"+domain+path, strings.NewReader(body))
	r.RemoteAddr = b.addr
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	b.s.pages.ServeHTTP(w, r)
	res := w.Result()
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(raw), "</head>")
	text = strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(text, " "))), " ")
	return &page{res, text, string(raw)}
}

func (b *browser) get(path string) *page {
	b.t.Helper()
	return b.do("GET", path, "", "")
}

const formType = "application/x-www-form-urlencoded"

func (b *browser) post(path string, f url.Values) *page {
	b.t.Helper()
	return b.do("POST", path, formType, f.Encode())
}

var field = regexp.MustCompile(`<input ([^>]*)/>`)

var attribute = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)

// form is the form of a page with what its fields hold.
func (p *page) form() url.Values {
	f := make(url.Values)
	_, form, _ := strings.Cut(p.raw, "<form ")
	form, _, _ = strings.Cut(form, "</form>")
	for {
		// Browsers with scripts do not see this.
		before, rest, found := strings.Cut(form, "<noscript>")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "</noscript>")
		form = before + after
	}
	for _, m := range field.FindAllStringSubmatch(form, -1) {
		a := make(map[string]string)
		for _, m := range attribute.FindAllStringSubmatch(m[1], -1) {
			a[m[1]] = html.UnescapeString(m[2])
		}
		f.Set(a["name"], a["value"])
	}
	return f
}

// signUp fills in the form of a page.
func (b *browser) signUp(p *page, name, password string) *page {
	b.t.Helper()
	f := p.form()
	f.Set("username", name)
	f.Set("password", password)
	return b.post("/account", f)
}

// want checks status and words of a page; words with ! must not be there.
func (p *page) want(t testing.TB, status int, words ...string) {
	t.Helper()
	if p.StatusCode != status {
		t.Errorf("status %d, want %d: %s", p.StatusCode, status, p.text)
	}
	for _, w := range words {
		if w, not := strings.CutPrefix(w, "!"); strings.Contains(p.text, w) == not {
			t.Errorf("%q: contained %t, want %t, in %s", w, not, !not, p.text)
		}
	}
}

// conn is a connection of a client from somewhere.
type conn struct{ from net.Addr }

func (conn) Write([]byte) error     { return nil }
func (conn) Pending() int           { return 0 }
func (conn) Close(error)            {}
func (c conn) RemoteAddr() net.Addr { return c.from }

// inBand is a client that has not logged in: it sends requests before login and gets
// the error, nil for none.
func (s *site) inBand(t testing.TB, addr string) func(iq string) error {
	t.Helper()
	from, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	st := s.Host.Mux().NewStream(conn{from}, mux.Client)
	st.SetDomain(domain)
	st.SetState(mux.Secure)
	features := make(map[string]mux.Feature)
	for _, f := range s.Host.Mux().Features() {
		features[f.Name] = f
	}
	return func(iq string) error {
		el, err := mux.Parse([]byte(iq))
		if err != nil {
			t.Error(err)
			return err
		}
		name := "register"
		if strings.Contains(iq, "<preauth") {
			name = "register token"
		}
		_, err = features[name].Step(context.Background(), st, el)
		return err
	}
}

func preauth(token string) string {
	return "<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='" + token + "'/></iq>"
}

func create(name string) string {
	return "<iq type='set' id='s'><query xmlns='jabber:iq:register'><username>" + name + "</username><password>" + password + "</password></query></iq>"
}
