package signup_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// all is a page of each kind.
func all(t *testing.T) map[string]*page {
	t.Helper()
	s := newSite(t, register.Options{Policy: register.Open, Challenger: &register.ProofOfWork{Bits: 8, Questions: []register.Question{{Text: "Black & <white>?"}}}},
		signup.Options{MinPassword: 8, Contacts: contacts[:5]})
	approve := newSite(t, register.Options{Policy: register.ByApproval}, signup.Options{})
	b := s.browser(t)
	if err := s.service.Create(t.Context(), "old@"+domain, "the old password"); err != nil {
		t.Fatal(err)
	}
	from := register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(inviter), MayRegister: true}
	only := register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(inviter)}
	named := b.get("/invite/" + s.invite(t, register.Invite{Name: "bill"}))
	contact := b.get("/invite/" + s.invite(t, from))
	reset := b.get("/invite/" + s.invite(t, register.Invite{Kind: register.ForReset, Name: "old"}))
	a := approve.browser(t)
	applied := a.get("/register")
	return map[string]*page{
		"front": b.get("/"), "front, approval": approve.browser(t).get("/"),
		"entry": b.get("/invite/"), "invite": named, "contact": contact, "contact only": b.get("/invite/" + s.invite(t, only)), "reset": reset,
		"register": b.get("/register"), "apply": applied, "applied": a.signUp(applied, "eve", password),
		"refused": b.signUp(contact, "admin", password), "done": b.signUp(contact, "juliet", password), "reset done": b.signUp(reset, "", password),
		"bad token": b.get("/invite/wrong"), "not found": b.get("/nothing/here"), "wrong method": b.do("PUT", "/invite/", "", ""),
		"no form": b.do("POST", "/account", "text/plain", "x"),
	}
}

// TestPages: each says what it is for.
func TestPages(t *testing.T) {
	t.Parallel()
	got := all(t)
	for _, tt := range []struct {
		name   string
		status int
		words  []string
	}{
		{"front", 200, []string{"Chat at " + domain, "@" + domain + " or @other.example", "This is a server for chat", "Everybody may have one", "Create an account",
			"The people who run this server Help", "abuse@example.org"}},
		{"front, approval", 200, []string{"Everybody may ask for one", "Ask for an account", "!The people who run this server Help"}},
		{"entry", 200, []string{"Your invitation", "Link or code", "Continue"}},
		{"invite", 200, []string{"You are invited to chat", "This is a server for chat", "Create your account here", "This name was chosen for you",
			"At least 8 characters", "I have an app: open the invitation", "there is no such app on this device yet", "Conversations", "Monal", "Dino", "Gajim", "This invitation is valid until"}},
		{"contact", 200, []string{inviter + " invites you to chat", inviter + " will be in your contacts", "Create your account here", "cannot be changed later"}},
		{"contact only", 200, []string{inviter + " invites you to chat", "Open it in your app", "If you have no account yet", "!Create", "!Password"}},
		{"reset", 200, []string{"Choose a new password", "Account @" + domain, "Set the password", "!app: open", "works once"}},
		{"register", 200, []string{"Create an account", "@" + domain, "an account at other.example", "Black & <white>?", "your browser shows that it is not a robot", "!agree"}},
		{"apply", 200, []string{"have to agree", "Why would you like", "Ask for an account"}},
		{"applied", 200, []string{"Thank you", "eve@" + domain, "As soon as they agree", "!Get an app"}},
		{"refused", 409, []string{"This name is taken", "Create your account here"}},
		{"done", 200, []string{"Your account is ready", "juliet@" + domain, "Get an app", "Say hello to " + inviter, "Open my app"}},
		{"reset done", 200, []string{"Your new password is set", "old@" + domain, "Log in again"}},
		{"bad token", 404, []string{"This invitation cannot be used", "ask whoever sent it"}},
		{"not found", 404, []string{"There is no such page"}},
		{"wrong method", 405, []string{"not possible here"}},
		{"no form", 400, []string{"could not be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) { got[tt.name].want(t, tt.status, tt.words...) })
		delete(got, tt.name)
	}
	for name := range got {
		t.Errorf("%s is not looked at", name)
	}
}

// TestHeaders: every page is kept nowhere, loads nothing from elsewhere, tells no
// referrer and is in no frame (auth-register IV-11, WB-1).
func TestHeaders(t *testing.T) {
	t.Parallel()
	for name, p := range all(t) {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Type": "text/html; charset=utf-8", "Strict-Transport-Security": "", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Robots-Tag": "noindex, nofollow",
		} {
			if got := p.Header.Get(header); got != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
		csp := p.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", name, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", name, csp)
		}
		for _, inline := range []string{"<style", " style=", " onclick=", "javascript:", password, "ZgotmplZ"} {
			if strings.Contains(p.raw, inline) {
				t.Errorf("%s contains %s", name, inline)
			}
		}
	}
}

// TestTLS: what is sent over TLS only.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{})
	p := s.at(t, "192.0.2.1:1").get("/register")
	if got := p.Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
		t.Errorf("HSTS %q", got)
	}
	for _, tt := range []struct {
		p    *page
		name string
		tls  bool
	}{{p, "__Host-signup", true}, {s.browser(t).get("/register"), "signup", false}} {
		c := tt.p.Cookies()
		if len(c) != 1 || c[0].Name != tt.name || !c[0].HttpOnly || c[0].Secure != tt.tls || c[0].SameSite != http.SameSiteLaxMode || c[0].Path != "/" || c[0].Domain != "" || len(c[0].Value) < 26 {
			t.Errorf("cookies %v", c)
		}
	}
}

// TestAssets: what pages load is there, of the right kind, and can be kept.
func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{URL: "https://example.org/chat/"})
	b := s.browser(t)
	p := b.get("/chat/register")
	seen := make(map[string]bool)
	for _, m := range attribute.FindAllStringSubmatch(p.raw, -1) {
		name, value := m[1], m[2]
		if name != "src" && name != "href" && name != "data-worker" || strings.HasPrefix(value, "https://") || strings.Contains(value, "?") || seen[value] {
			continue
		}
		seen[value] = true
		if !strings.HasPrefix(value, "/chat/signup/") {
			t.Errorf("%s %s is not below /chat/", name, value)
			continue
		}
		a := b.get(value)
		kind := a.Header.Get("Content-Type")
		want := map[string]string{".css": "text/css; charset=utf-8", "e.js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
		if a.StatusCode != 200 || len(a.raw) == 0 || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || !strings.Contains(strings.Join([]string{want[".css"], want["e.js"], want[".svg"]}, " "), kind) || kind == "" {
			t.Errorf("%s: %d %v", value, a.StatusCode, a.Header)
		}
	}
	if len(seen) != 4 {
		t.Errorf("loaded are %v", seen)
	}
	b.get("/chat/signup/style-0000.css").want(t, 404)
	b.get("/register").want(t, 404)
}

// TestWellFormed: pages are XML as well, so that two parsers see that all is closed
// and escaped.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	for name, p := range all(t) {
		d := xml.NewDecoder(strings.NewReader(p.raw))
		d.Strict = true
		ids := make(map[string]bool)
		var refs []string
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, p.raw)
				break
			}
			start, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			for _, a := range start.Attr {
				switch a.Name.Local {
				case "id":
					if ids[a.Value] {
						t.Errorf("%s: id %s twice", name, a.Value)
					}
					ids[a.Value] = true
				case "for", "aria-labelledby", "aria-describedby":
					refs = append(refs, strings.Fields(a.Value)...)
				}
			}
		}
		for _, r := range refs {
			if !ids[r] {
				t.Errorf("%s: nothing has the id %s", name, r)
			}
		}
		cmd := exec.CommandContext(t.Context(), xmllint, "--nonet", "--noout", "-")
		cmd.Stdin = strings.NewReader(p.raw)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: xmllint: %v, %s in\n%s", name, err, &stderr, p.raw)
		}
	}
}

// TestAccessible: fields have labels and say what they are for.
func TestAccessible(t *testing.T) {
	t.Parallel()
	for name, p := range all(t) {
		for _, want := range []string{`<html lang="en"`, `name="viewport" content="width=device-width, initial-scale=1"`, "<main>", "<h1>"} {
			if !strings.Contains(p.raw, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
		for _, m := range field.FindAllStringSubmatch(p.raw, -1) {
			if strings.Contains(m[1], `type="hidden"`) {
				continue
			}
			_, id, _ := strings.Cut(m[1], `id="`)
			id, _, _ = strings.Cut(id, `"`)
			if !strings.Contains(p.raw, `<label for="`+id+`">`) || !strings.Contains(m[1], "autocomplete=") {
				t.Errorf("%s: field %s", name, m[1])
			}
		}
	}
}

// TestInviter: who invites is named only if that is no secret (auth-register WB-2).
func TestInviter(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite, MaxInvites: -1}, signup.Options{})
	romeo := mux.MustParseAddress(inviter)
	b := s.browser(t)
	for _, tt := range []struct {
		name string
		i    register.Invite
		want bool
	}{
		{"operator", register.Invite{}, false},
		{"a user, contacts of each other", register.Invite{Inviter: romeo, Befriend: true}, true},
		{"a user, no contacts", register.Invite{Inviter: romeo, Note: inviter}, false},
		{"to a contact list", register.Invite{Kind: register.ForContact, Inviter: romeo, MayRegister: true}, true},
	} {
		p := b.get("/invite/" + s.invite(t, tt.i))
		if got := strings.Contains(p.raw, "romeo"); got != tt.want {
			t.Errorf("%s: named %t, want %t", tt.name, got, tt.want)
		}
		if tt.i.Kind == 0 {
			if got := strings.Contains(b.signUp(p, strings.ReplaceAll("n"+tt.name[:3], " ", ""), password).raw, "romeo"); got != tt.want {
				t.Errorf("%s: named afterwards %t, want %t", tt.name, got, tt.want)
			}
		}
	}
}

// TestURI: the button and the code lead to the URI of the invitation (XEP-0401 §5.2).
func TestURI(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	token := s.invite(t, register.Invite{Kind: register.ForContact, Inviter: mux.MustParseAddress(inviter), MayRegister: true})
	for _, p := range []*page{s.browser(t).get("/invite/" + token), s.browser(t).post("/invite/", url.Values{"code": {token}})} {
		if want := `href="xmpp:romeo@` + domain + `?roster;preauth=` + token + `;ibr=y"`; !strings.Contains(p.raw, want) {
			t.Errorf("no %s in %s", want, p.raw)
		}
		if !strings.Contains(p.raw, `<svg class="qr"`) {
			t.Error("no code")
		}
	}
}

// TestPlatform: apps for what the browser runs on come first.
func TestPlatform(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{})
	token := s.invite(t, register.Invite{})
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36":      "Apps for Android Conversations",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)":           "Apps for iOS Monal",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)":                  "Apps for macOS Monal",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64)":                        "Apps for Windows Gajim",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox": "Apps for Linux Dino",
		"": "Apps Apps for your device Android Conversations",
	} {
		b := s.browser(t)
		b.header.Set("User-Agent", agent)
		b.get("/invite/"+token).want(t, 200, want)
	}
	s = newSite(t, register.Options{Policy: register.ByInvite}, signup.Options{Clients: []signup.Client{{Name: "Ours", URL: "https://example.org/app", Platforms: []string{"Linux"}}}})
	s.browser(t).get("/invite/"+s.invite(t, register.Invite{})).want(t, 200, "Ours", "!Dino")
}

// TestHome: without a word about it a page is about the domain that it was asked for at,
// if that is served, and never about one that somebody made up.
func TestHome(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{})
	s.served.Store(&[]string{domain, "other.example", "b\u00fccher.example"})
	for host, want := range map[string]string{
		"other.example": "other.example", "OTHER.example:8443": "other.example", "xn--bcher-kva.example:443": "b\u00fccher.example",
		"evil.example": domain, "": domain, "[::1]:5280": domain, "a@other.example": domain, "other.example/x": domain, "\"><b>": domain,
	} {
		r := httptest.NewRequest("GET", "https://x/register", nil)
		r.Host, r.RemoteAddr = host, "192.0.2.1:1"
		w := httptest.NewRecorder()
		s.pages.ServeHTTP(w, r)
		if body := w.Body.String(); !strings.Contains(body, "<span>@"+want+"</span>") || strings.Contains(body, "evil") {
			t.Errorf("%q: want %s in %s", host, want, body)
		}
	}
}

// TestPolicies: the page for those without an invitation.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy register.Policy
		status int
		words  string
	}{
		{register.Open, 200, "Create an account"}, {register.ByApproval, 200, "Why would you like"},
		{register.ByInvite, 403, "You need an invitation"}, {register.Closed, 403, "No new accounts"},
	} {
		s := newSite(t, register.Options{Policy: tt.policy}, signup.Options{})
		b := s.browser(t)
		b.get("/register").want(t, tt.status, tt.words)
		// Nor by a form that one has made up.
		if tt.status != 200 {
			f := url.Values{"domain": {domain}, "username": {"bill"}, "password": {password}}
			if p := b.post("/account", f); p.StatusCode != 403 || s.has(t, "bill@"+domain, password) {
				t.Errorf("policy %d: %s", tt.policy, p.text)
			}
		}
	}
}
