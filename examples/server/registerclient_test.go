package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// newAccount is a mellium session that registers first and logs in on the same stream.
func newAccount(t *testing.T, addr, account, password string, o *register.ClientOptions) (*xmpp.Session, error) {
	t.Helper()
	s, err := dialAccount(t, addr, account, password, o)
	if err == nil {
		serveSession(t, s, nil)
	}
	return s, err
}

// serveSession serves a session until the test ends.
func serveSession(t *testing.T, s *xmpp.Session, h xmpp.Handler) {
	t.Helper()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(h) // ends with the connection
	}()
	t.Cleanup(func() {
		_ = s.Conn().Close()
		<-served
	})
}

// dialAccount is newAccount without serving the session.
func dialAccount(t *testing.T, addr, account, password string, o *register.ClientOptions) (*xmpp.Session, error) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}}}).DialContext(t.Context(), "tcp", addr) // the certificate is not what is tested
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	features := append(scram.Features(&scram.ClientOptions{Password: scram.FixedPassword(password)}), xmpp.BindResource())
	if o != nil {
		features = register.Features(*o, features...)
	}
	j := jid.MustParse(account)
	return xmpp.NewSession(ctx, j.Domain(), j, conn, xmpp.Secure, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	}))
}

// condition is that of a stanza error.
func condition(err error) stanza.Condition {
	var se stanza.Error
	_ = errors.As(err, &se)
	return se.Condition
}

// TestRegisterClient: the client's functions on mellium sessions: two accounts, one
// invited by the other, a new password, the end.
func TestRegisterClient(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := launch(t, data, "-domain", "example.org", "-registration", "invite")
	link := strings.TrimSpace(operate(t, data, "", "invite", "alice@example.org"))
	u, err := register.ParseURI(link)
	if err != nil {
		t.Fatal(err)
	}
	i, ok := u.Invitation()
	if !ok || i.Username != "alice" || i.Domain != "example.org" {
		t.Fatalf("invitation %+v", i)
	}
	if _, err := newAccount(t, s.addr, "alice@example.org", password, &register.ClientOptions{Password: password}); condition(err) != stanza.NotAllowed {
		t.Errorf("uninvited: %v", err)
	}
	wrong := i
	wrong.Domain = "example.net"
	if _, err := newAccount(t, s.addr, "alice@example.org", password, &register.ClientOptions{Password: password, Invitation: &wrong}); !errors.Is(err, register.ErrForeignToken) {
		t.Errorf("token of another server: %v", err)
	}
	wrong = i
	wrong.Token = "wrong"
	if _, err := newAccount(t, s.addr, "alice@example.org", password, &register.ClientOptions{Password: password, Invitation: &wrong}); condition(err) != stanza.ItemNotFound {
		t.Errorf("wrong token: %v", err)
	}
	alice, err := newAccount(t, s.addr, "alice@example.org", password, &register.ClientOptions{Password: password, Invitation: &i})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := register.AskInvite(ctx, alice)
	if err != nil || time.Until(l.Expires) < 6*24*time.Hour {
		t.Fatalf("link %+v, error %v", l, err)
	}
	if u, err = register.ParseURI(l.URI); err != nil {
		t.Fatal(err)
	}
	if i, _ = u.Invitation(); i.Contact.String() != "alice@example.org" || i.Domain != "example.org" {
		t.Errorf("invitation %+v", i)
	}
	if _, err := newAccount(t, s.addr, "bob@example.org", password, &register.ClientOptions{Password: password, Invitation: &i}); err != nil {
		t.Fatal(err)
	}
	if l, err = register.AskAccount(ctx, alice, "carol", true); err != nil || !strings.HasPrefix(l.URI, "xmpp:carol@example.org?register;preauth=") {
		t.Errorf("link %+v, error %v", l, err)
	}
	if _, err = register.AskAccount(ctx, alice, "bob", true); condition(err) != stanza.Conflict {
		t.Errorf("a name that is taken: %v", err)
	}
	const other = "parting is such sweet sorrow"
	if err := register.ChangePassword(ctx, alice, other); err != nil {
		t.Error(err)
	}
	if err := register.ChangePasswordWith(ctx, alice, password, "third one of them"); !register.NeedsPassword(err) {
		t.Errorf("wrong old password: %v", err)
	}
	again, err := newAccount(t, s.addr, "alice@example.org", other, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := register.RemoveWith(ctx, again, other); err != nil {
		t.Error(err)
	}
	var ne net.Error
	if _, err := newAccount(t, s.addr, "alice@example.org", other, nil); err == nil || errors.As(err, &ne) {
		t.Errorf("login to an account that is gone: %v", err)
	}
}
