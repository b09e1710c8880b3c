package signup_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// FuzzForm: whatever is sent, the answer is a page that is well-formed, with all headers;
// nothing but a good form makes an account, and the server is never at fault.
func FuzzForm(f *testing.F) {
	s := newSite(f, register.Options{Policy: register.Open, Limiter: register.Unlimited{}}, signup.Options{})
	token := s.invite(f, register.Invite{Uses: 1 << 30})
	b := s.browser(f)
	b.get("/register") // for the cookie
	for _, body := range []string{
		"", "code=" + token, "token=" + token + "&username=a&password=b&form=c", "domain=" + domain + "&username=%3Cb%3E&password=x&again=y",
		"domain=" + domain + "&username=a&username=b", "a=%zz", "username=%00%ff&domain=" + domain, "code=xmpp:a?;preauth=b", strings.Repeat("a", 20<<10),
	} {
		f.Add("/account", body, "", "")
		f.Add("/invite/", body, "203.0.113.1", "https://"+domain)
	}
	f.Add("/invite/"+token, "", "", "")
	f.Fuzz(func(t *testing.T, path, body, forwarded, origin string) {
		u, err := url.Parse(path)
		if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" || strings.ContainsAny(path, " \r\n\t#") || strings.ContainsAny(forwarded+origin, "\r\n\x00") {
			return
		}
		c := s.browser(t)
		for name, value := range b.cookies {
			c.cookies[name] = value
		}
		if forwarded != "" {
			c.header.Set("X-Forwarded-For", forwarded)
		}
		if origin != "" {
			c.header.Set("Origin", origin)
		}
		p := c.do("POST", u.RequestURI(), formType, body)
		if p.StatusCode >= 500 || p.Header.Get("Content-Security-Policy") == "" || p.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", p.StatusCode, p.Header)
		}
		if p.StatusCode == 200 && u.Path == "/account" {
			t.Fatalf("an account by %q", body)
		}
		for d := xml.NewDecoder(strings.NewReader(p.raw)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, p.raw)
			}
		}
	})
}
