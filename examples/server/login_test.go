package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// TestLogin: a mellium session with the client of package scram logs in here over
// TLS, by STARTTLS and directly, with every hash, with what the server lists for
// channel binding, without the password the second time, and not with a wrong one.
func TestLogin(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	addUser(t, data, "juliet@localhost", "r0m30myr0m30")
	at := serveLogin(t, data)
	pem, err := os.ReadFile(filepath.Join(data, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version}
		for _, direct := range []bool{false, true} {
			for _, h := range scram.Hashes() {
				var login scram.Login
				o := scram.ClientOptions{
					Password: scram.FixedPassword("r0m30myr0m30"),
					Policy:   scram.ClientPolicy{Hashes: []scram.Hash{h}},
					Save:     func(_ context.Context, l scram.Login) error { login = l; return nil },
				}
				if err := at.login(t, direct, config, scram.Features(&o)); err != nil {
					t.Fatalf("TLS %x, direct %v, %v: %v", version, direct, h, err)
				}
				plus := strings.HasSuffix(login.Mechanism, "-PLUS")
				if !strings.HasPrefix(login.Mechanism, h.Mechanism()) || plus != (login.BindingType != "") {
					t.Errorf("got %+v", login)
				}
				o.Password, o.Keys, o.Pins = nil, []scram.ClientKeys{login.Keys}, login.Pins
				if err := at.login(t, direct, config, scram.Features(&o)); err != nil {
					t.Errorf("%v with kept keys: %v", h, err)
				}
				feature := xmpp.SASL("", "r0m30myr0m30", scram.Mechanisms(&scram.ClientOptions{Policy: scram.ClientPolicy{Binding: scram.BindingOff}})...)
				if err := at.login(t, direct, config, []xmpp.StreamFeature{feature}); err != nil {
					t.Errorf("%v with the feature of mellium: %v", h, err)
				}
			}
			wrong := scram.Features(&scram.ClientOptions{Password: scram.FixedPassword("wrong")})
			if err := at.login(t, direct, config, wrong); !errors.Is(err, scram.ErrWrongPassword) {
				t.Errorf("wrong password: %v", err)
			}
		}
	}
}

// ports are where a server listens, by the names in its ready line.
type ports map[string]string

// login opens and closes a session.
func (p ports) login(t *testing.T, direct bool, config *tls.Config, features []xmpp.StreamFeature) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	features = append(features[:len(features):len(features)], xmpp.BindResource(), xmpp.StartTLS(config))
	addr := p["c2s"]
	if direct {
		addr = p["c2s-tls"]
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if direct {
		conn = tls.Client(conn, config)
	}
	session, err := xmpp.NewClientSession(ctx, jid.MustParse("juliet@localhost"), conn, features...)
	if err != nil {
		return err
	}
	return session.Close()
}

// addUser makes an account on a data directory that no server runs on.
func addUser(t *testing.T, data, account, password string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var stderr bytes.Buffer
	if status := command(t.Context(), []string{"-data", data, "user", "add", account}, nil, stdin, io.Discard, &stderr); status != success {
		t.Fatalf("user add: %s", &stderr)
	}
}

// serveLogin runs the server until the test ends, and wants it to end well.
func serveLogin(t *testing.T, data string) ports {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		args := []string{"-data", data, "-c2s", "127.0.0.1:0", "-c2s-tls", "127.0.0.1:0", "-http", "off", "-s2s", "off", "-limits", "off"}
		ended <- command(ctx, args, nil, nil, io.Discard, w)
		_ = w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if status := <-ended; status != success {
			t.Errorf("the server ended with status %d", status)
		}
	})
	at := ports{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields, ready := strings.CutPrefix(lines.Text(), "ready ")
		if !ready {
			continue
		}
		for _, f := range strings.Fields(fields) {
			name, addr, _ := strings.Cut(f, "=")
			at[name] = addr
		}
		break
	}
	if at["c2s"] == "" || at["c2s-tls"] == "" {
		t.Fatalf("not ready: %v", at)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return at
}
