package signup_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// contacts are of all sorts.
var contacts = []signup.Contact{
	{"support", "xmpp:room@chat.example?join"}, {"admin", "mailto:a%2Bb@example.org?subject=x"}, {"abuse", "mailto:abuse@example.org"},
	{"status", "https://status.example/?a=1&b=2"}, {"security", "tel:+1-201-555-0123"}, {"sales", "javascript:alert(1)"}, {"<other>", "urn:x:\"><b>"},
}

// TestFront: the page at the top says how to get an account, as the policy has it.
func TestFront(t *testing.T) {
	t.Parallel()
	const create, ask, link = "Create an account", "Ask for an account", `href="/register"`
	for _, tt := range []struct {
		policy register.Policy
		words  []string
		link   bool
	}{
		{register.Open, []string{create, "enter the code", "!" + ask}, true},
		{register.ByApproval, []string{ask, "enter the code", "!" + create}, true},
		{register.ByInvite, []string{"Accounts are made by invitation here", "enter the code", "!" + create, "!" + ask}, false},
		{register.Closed, []string{"does not take new accounts", "!enter the code", "!" + create, "!" + ask}, false},
	} {
		s := newSite(t, register.Options{Policy: tt.policy}, signup.Options{})
		p := s.at(t, "192.0.2.1:1").get("/")
		p.want(t, 200, append(tt.words, "Chat at "+domain, "Log in with your address", "Conversations", "!people who run this server Help")...)
		if got := strings.Contains(p.raw, link); got != tt.link {
			t.Errorf("policy %d: link %t, want %t", tt.policy, got, tt.link)
		}
		if p.Header.Get("Set-Cookie") != "" {
			t.Errorf("policy %d: a cookie for nothing", tt.policy)
		}
	}
}

// TestFrontContacts: what people can go to is a link, and nothing else is; addresses are
// written as people know them.
func TestFrontContacts(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{Contacts: contacts})
	p := s.browser(t).get("/")
	p.want(t, 200, "Help room@chat.example Administrators a+b@example.org Abuse abuse@example.org Status https://status.example/?a=1&b=2 Security +1-201-555-0123 "+
		`Sales javascript:alert(1) <other> urn:x:"><b>`)
	for _, href := range []string{"xmpp:room@chat.example?join", "mailto:a%2Bb@example.org?subject=x", "https://status.example/?a=1&amp;b=2"} {
		if !strings.Contains(p.raw, `href="`+href+`"`) {
			t.Errorf("no link %s in %s", href, p.raw)
		}
	}
	for _, wrong := range []string{"ZgotmplZ", `href="javascript`, `href="urn`} {
		if strings.Contains(p.raw, wrong) {
			t.Errorf("%s in %s", wrong, p.raw)
		}
	}
}

// TestFrontDomains: each domain is told, that of the address first.
func TestFrontDomains(t *testing.T) {
	t.Parallel()
	s := newSite(t, register.Options{Policy: register.Open}, signup.Options{})
	b := s.browser(t)
	b.get("/").want(t, 200, "end in @"+domain+" or @other.example .")
	s.served.Store(&[]string{"b\u00fccher.example"})
	b.get("/").want(t, 200, "Chat at b\u00fccher.example", "end in @b\u00fccher.example .")
}

// TestFrontPaths: the page is at the top of the path of the pages and nowhere else, for
// those who read.
func TestFrontPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, top string }{{"", "/"}, {"https://" + domain, "/"}, {"https://" + domain + "/chat", "/chat/"}} {
		s := newSite(t, register.Options{Policy: register.Open}, signup.Options{URL: tt.url})
		b := s.at(t, "192.0.2.1:1")
		b.get(tt.top).want(t, 200, "Chat at "+domain)
		if p := b.do("HEAD", tt.top, "", ""); p.StatusCode != 200 {
			t.Errorf("%s: HEAD: %d", tt.top, p.StatusCode)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			if p := b.do(method, tt.top, formType, ""); p.StatusCode != 405 || p.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s: %d, allowed is %q", tt.top, method, p.StatusCode, p.Header.Get("Allow"))
			}
		}
		for _, path := range []string{"x", "index.html", "register/", "xmpp-websocket"} {
			b.get(tt.top+path).want(t, 404, "There is no such page")
		}
		if tt.top == "/" {
			continue
		}
		b.get("/").want(t, 404)
		if p := b.get("/chat"); p.StatusCode != 303 || p.Header.Get("Location") != "/chat/" {
			t.Errorf("without the slash: %d, %q", p.StatusCode, p.Header.Get("Location"))
		}
		if p := b.get(tt.top); !strings.Contains(p.raw, `href="/chat/register"`) || !strings.Contains(p.raw, `href="/chat/invite/"`) {
			t.Errorf("links of %s", p.raw)
		}
	}
}
