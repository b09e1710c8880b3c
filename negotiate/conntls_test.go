package negotiate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/propolis-im/propolis/negotiate"
)

// connected are both ends of a connection that keeps what is written: on a pipe the two
// ends of TLS 1.3 could wait for one another.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // most are closed already
	return near, far
}

// shown makes one connection and returns the certificate that the server's end knows of,
// and what the client's end has seen.
func shown(t *testing.T, server func(c net.Conn) (*negotiate.ConnTransport, error), client *tls.Config) (*tls.Certificate, tls.ConnectionState) {
	t.Helper()
	near, far := connected(t)
	states := make(chan tls.ConnectionState, 1)
	go func() {
		defer near.Close()
		c := tls.Client(near, client)
		if _, err := c.Read(make([]byte, 1)); err != nil { // tickets come before it
			t.Error(err)
		}
		states <- c.ConnectionState()
	}()
	tr, err := server(far)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.WriteHeader(negotiate.Header{From: "example.net"}); err != nil {
		t.Error(err)
	}
	if err := tr.Flush(); err != nil {
		t.Error(err)
	}
	state := <-states
	tr.Finish()
	return tr.Certificate(), state
}

// resumptions checks what is known of certificates that follow one another, in sessions
// that are taken up and in new ones.
func resumptions(t *testing.T, server func(current *tls.Certificate) func(c net.Conn) (*negotiate.ConnTransport, error)) {
	t.Helper()
	one, two := &certificate(t).Certificates[0], &certificate(t).Certificates[0]
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(1)
		for i, step := range []struct {
			cert    *tls.Certificate
			resumed bool
		}{{one, false}, {one, true}, {two, false}, {two, true}, {one, false}} {
			client := &tls.Config{InsecureSkipVerify: true, ServerName: "example.net", ClientSessionCache: cache, MaxVersion: version}
			got, state := shown(t, server(step.cert), client)
			if state.DidResume != step.resumed {
				t.Errorf("%x, connection %d: resumed %t, want %t", version, i, state.DidResume, step.resumed)
			}
			if want := string(step.cert.Certificate[0]); got == nil || string(got.Certificate[0]) != want || string(state.PeerCertificates[0].Raw) != want {
				t.Errorf("%x, connection %d: another certificate", version, i)
			}
		}
	}
}

// TestDirectTLSCertificate: auth-register CB-4, with TLS before the stream.
func TestDirectTLSCertificate(t *testing.T) {
	t.Parallel()
	var current *tls.Certificate
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current, nil }}
	wrong := certificate(t).Certificates[0]
	resumptions(t, func(cert *tls.Certificate) func(net.Conn) (*negotiate.ConnTransport, error) {
		current = cert
		return func(c net.Conn) (*negotiate.ConnTransport, error) {
			return negotiate.NewDirectTLS(t.Context(), c, config, &negotiate.ConnOptions{Certificate: &wrong})
		}
	})
}

// TestGetConfigForClient: the same where the configuration has another one for each
// client.
func TestGetConfigForClient(t *testing.T) {
	t.Parallel()
	configs := map[*tls.Certificate]*tls.Config{}
	var current *tls.Certificate
	config := certificate(t)
	own := &config.Certificates[0]
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return configs[current], nil }
	direct := func(c net.Conn) (*negotiate.ConnTransport, error) {
		return negotiate.NewDirectTLS(t.Context(), c, config, nil)
	}
	resumptions(t, func(cert *tls.Certificate) func(net.Conn) (*negotiate.ConnTransport, error) {
		if current = cert; configs[cert] == nil {
			configs[cert] = &tls.Config{Certificates: []tls.Certificate{*cert}}
		}
		return direct
	})
	current = nil // it has none for this client
	if got, _ := shown(t, direct, &tls.Config{InsecureSkipVerify: true}); got == nil || string(got.Certificate[0]) != string(own.Certificate[0]) {
		t.Error("not the configuration's own certificate")
	}
	failure := errors.New("no")
	for name, get := range map[string]func(*tls.ClientHelloInfo) (*tls.Config, error){
		"error":          func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, failure },
		"no certificate": func(*tls.ClientHelloInfo) (*tls.Config, error) { return new(tls.Config), nil },
	} {
		config := &tls.Config{GetConfigForClient: get}
		near, far := connected(t)
		go func() {
			defer near.Close()
			if tls.Client(near, &tls.Config{InsecureSkipVerify: true}).Handshake() == nil {
				t.Errorf("%s: the client has made the handshake", name)
			}
		}()
		if _, err := negotiate.NewDirectTLS(context.Background(), far, config, nil); err == nil || name == "error" && !errors.Is(err, failure) {
			t.Errorf("%s: error %v", name, err)
		}
		far.Close()
	}
}

// TestGivenCertificate: what the caller says counts for TLS that he has begun, and for
// nothing else.
func TestGivenCertificate(t *testing.T) {
	t.Parallel()
	config := certificate(t)
	cert := &config.Certificates[0]
	got, _ := shown(t, func(c net.Conn) (*negotiate.ConnTransport, error) {
		c2 := tls.Server(c, config)
		return negotiate.NewConnTransport(c2, &negotiate.ConnOptions{Certificate: cert}), c2.Handshake()
	}, &tls.Config{InsecureSkipVerify: true})
	if got != cert {
		t.Errorf("got %v", got)
	}
	near, far := net.Pipe()
	defer near.Close()
	if got := negotiate.NewConnTransport(far, &negotiate.ConnOptions{Certificate: cert}).Certificate(); got != nil {
		t.Errorf("without TLS: %s", fmt.Sprint(got))
	}
}
