package main

import (
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/selfsigned"
)

// visitor is a browser.
type visitor struct {
	t      *testing.T
	client *http.Client
	header http.Header
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}, make(http.Header)}
}

// visit gets a page, or sends a form if there is one.
func (v *visitor) visit(address string, form url.Values) (status int, page string) {
	v.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header = v.header.Clone()
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// hidden is the value of a hidden field.
func hidden(page, name string) string {
	return html.UnescapeString(between(page, `name="`+name+`" value="`, `"`))
}

// webAddress is what the ready line says.
func (r *running) webAddress(t *testing.T) string {
	t.Helper()
	return "http://" + between(r.log.await(t, 0, "ready ")+" ", " http=", "\n")
}

// TestWebInvitation: the operator prints a link, with which somebody makes an account in
// the browser and logs in; the token is in no log (auth-register IV-11, WB-1).
func TestWebInvitation(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := launch(t, data, "-domain", "example.org", "-registration", "invite", "-http", "127.0.0.1:0", "-log-level", "debug")
	base := s.webAddress(t)
	link := strings.TrimSpace(operate(t, data, "", "invite", "note=party"))
	token, ok := strings.CutPrefix(link, base+"/invite/#")
	if !ok || len(token) != 26 {
		t.Fatalf("link %s, want one at %s", link, base)
	}
	v := newVisitor(t)
	if status, page := v.visit(base+"/invite/", nil); status != 200 || !strings.Contains(page, "Your invitation") {
		t.Errorf("entry: %d %s", status, page)
	}
	status, page := v.visit(base+"/invite/", url.Values{"code": {token}})
	if status != 200 || !strings.Contains(page, "xmpp:example.org?register;preauth="+token) {
		t.Fatalf("landing page: %d %s", status, page)
	}
	status, page = v.visit(base+"/account", url.Values{"form": {hidden(page, "form")}, "token": {token}, "username": {"bob"}, "password": {password}})
	if status != 200 || !strings.Contains(page, "bob@example.org") {
		t.Fatalf("account: %d %s", status, page)
	}
	login(t, s.addr, "bob", "example.org").close()
	if status, page = v.visit(base+"/invite/"+token, nil); status != 404 {
		t.Errorf("used twice: %d %s", status, page)
	}
	if status, _ = v.visit(base+"/register", nil); status != 403 {
		t.Errorf("without an invitation: %d", status)
	}
	s.stop()
	if got := s.log.String(); !strings.Contains(got, "path=web") || strings.Contains(got, token) || strings.Contains(got, password) {
		t.Errorf("log:\n%s", got)
	}
}

// TestWebFront: the page at the top of the listener tells of domains, accounts and
// contacts; there is nothing behind other addresses.
func TestWebFront(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ policy, want, not string }{
		{"open", `/register">Create an account`, "by invitation"},
		{"approve", `/register">Ask for an account`, "by invitation"},
		{"invite", "by invitation", "/register"},
		{"closed", "does not take new accounts", "/register"},
	} {
		s := launch(t, filepath.Join(t.TempDir(), "data"), "-domain", "example.org,example.net", "-registration", tt.policy, "-http", "127.0.0.1:0",
			"-contact", "abuse=mailto:abuse@example.org support=xmpp:help@example.org")
		v := newVisitor(t)
		status, page := v.visit(s.webAddress(t)+"/", nil)
		for _, want := range []string{tt.want, "Chat at example.org", "@example.net", `href="mailto:abuse@example.org"`, `href="xmpp:help@example.org"`} {
			if status != 200 || !strings.Contains(page, want) {
				t.Errorf("%s: %d, no %s in %s", tt.policy, status, want, page)
			}
		}
		if strings.Contains(page, tt.not) || strings.Index(page, "help@") > strings.Index(page, "abuse@") {
			t.Errorf("%s: %s", tt.policy, page)
		}
		if status, _ = v.visit(s.webAddress(t)+"/nothing", nil); status != 404 {
			t.Errorf("nothing: %d", status)
		}
		s.stop()
	}
}

// TestWebProxy: who asks is whom the proxy names, if it is trusted; links have the public
// address (auth-register AB-7).
func TestWebProxy(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := launch(t, data, "-domain", "example.org", "-registration", "open", "-http", "127.0.0.1:0",
		"-http-url", "https://chat.example/join", "-http-trusted-proxies", "127.0.0.0/8")
	if link := operate(t, data, "", "invite"); !strings.HasPrefix(link, "https://chat.example/join/invite/#") {
		t.Errorf("link %s", link)
	}
	v := newVisitor(t)
	page := s.webAddress(t) + "/join/register"
	if status, _ := v.visit(page, nil); status != 403 {
		t.Errorf("from nowhere: %d", status)
	}
	v.header.Set("X-Forwarded-For", "198.51.100.7")
	v.header.Set("X-Forwarded-Proto", "http")
	if status, _ := v.visit(page, nil); status != 403 {
		t.Errorf("without TLS: %d", status)
	}
	v.header.Set("X-Forwarded-Proto", "https")
	status, text := v.visit(page, nil)
	if status != 200 {
		t.Fatalf("form: %d %s", status, text)
	}
	// The cookie is for https, which this is to the browser alone.
	v.header.Set("Cookie", "__Host-signup=AAAAAAAAAAAAAAAAAAAAAAAAAA")
	_, text = v.visit(page, nil)
	status, text = v.visit(s.webAddress(t)+"/join/account", url.Values{"form": {hidden(text, "form")}, "domain": {"example.org"}, "username": {"carol"}, "password": {password}})
	if status != 200 {
		t.Fatalf("account: %d %s", status, text)
	}
	s.log.await(t, 0, "source=198.51.100.7 account=carol@example.org")
}

// TestWebTLS: on addresses that others reach, the listener speaks TLS alone, with the
// server's certificate.
func TestWebTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, err := selfsigned.Ensure(t.TempDir(), []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := selfsigned.Open(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"localhost:5280": false, "[::1]:1": false, ":443": true, "192.0.2.1:5280": true} {
		if got := webTLS(address, cert) != nil; got != want {
			t.Errorf("%s: TLS %t, want %t", address, got, want)
		}
	}
	site, err := openWebsite(&config.Config{HTTP: "127.0.0.1:0"}, cert, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	site.srv.TLSConfig = webTLS(":443", cert)
	failed := make(chan error, 1)
	if err := site.serve(new(config.Config), nil, func() []string { return []string{"localhost"} }, slog.New(slog.DiscardHandler), failed); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	v := newVisitor(t)
	v.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	_, address, _ := strings.Cut(site.ready(), "=")
	if status, page := v.visit("https://"+address+"/invite/", nil); status != 200 || !strings.Contains(page, "Your invitation") {
		t.Errorf("%d %s", status, page)
	}
	if status, _ := newVisitor(t).visit("http://"+address+"/invite/", nil); status != 400 {
		t.Errorf("without TLS: %d", status)
	}
	if err := site.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}
