package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/server"
)

const domain, otherDomain = "example.net", "example.org"

// people exist, on every domain, unless they are ghosts; all have the password
// secret.
type people struct{}

func (people) Exists(_ context.Context, a mux.Address) (bool, error) {
	return !strings.HasPrefix(a.Local(), "ghost"), nil
}

func (people) Mechanisms(*mux.Stream) []string { return []string{"PLAIN"} }

func (people) Start(_ *mux.Stream, _, domain string) (negotiate.Exchange, error) {
	return &plain{domain: domain}, nil
}

type plain struct{ domain, account string }

type wrong string

func (w wrong) Error() string         { return string(w) }
func (w wrong) SASLCondition() string { return string(w) }

func (x *plain) Step(_ context.Context, in []byte) (out []byte, done bool, err error) {
	parts := strings.Split(string(in), "\x00")
	if len(parts) != 3 || parts[2] != "secret" {
		return nil, false, wrong("not-authorized")
	}
	x.account = parts[1] + "@" + x.domain
	return nil, true, nil
}

func (x *plain) Account() string { return x.account }

// certificates has one for each domain.
var certificates = sync.OnceValue(func() map[string]*tls.Certificate {
	all := make(map[string]*tls.Certificate)
	for i, name := range []string{domain, otherDomain} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		all[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	return all
})

func certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := certificates()[hello.ServerName]; c != nil {
		return c, nil
	}
	return certificates()[domain], nil
}

// events counts what the server tells.
type events struct {
	connections, refused, sessions, stanzas atomic.Int64
}

func (c *events) Connection(d int) { c.connections.Add(int64(d)) }
func (c *events) Refused(string)   { c.refused.Add(1) }
func (c *events) Session(d int)    { c.sessions.Add(int64(d)) }
func (c *events) Stanza(mux.Kind)  { c.stanzas.Add(1) }

// site is a running server with a listener of each kind.
type site struct {
	*server.Server
	events  events
	clear   string // address of the listener that begins without TLS
	direct  string
	serving chan error // what Serve and ServeTLS return
}

// limits are those of most tests: generous numbers, short times.
func limits() *server.Limits {
	l := server.NoLimits()
	l.Closing = 500 * time.Millisecond
	return l
}

// open starts a server, which ends with the test. change may alter the options.
func open(t testing.TB, change func(*server.Options), exts ...mux.Extension) *site {
	t.Helper()
	s, err := launch(t.Context(), change, exts...)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, server.ErrClosed) {
			t.Errorf("shutdown: %v", err)
		}
		s.served(t)
	})
	return s
}

// served checks that both listeners were given up properly.
func (s *site) served(t testing.TB) {
	t.Helper()
	for range 2 {
		if err := await(t, s.serving, "the end of Serve"); !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	}
	s.serving <- server.ErrClosed
	s.serving <- server.ErrClosed
}

func launch(ctx context.Context, change func(*server.Options), exts ...mux.Extension) (*site, error) {
	s := &site{serving: make(chan error, 4)}
	o := &server.Options{Domains: []string{domain}, Accounts: people{}, SASL: people{}, Certificate: certificate,
		Limits: limits(), Counters: &s.events}
	if change != nil {
		change(o)
	}
	var err error
	if s.Server, err = server.New(o, exts...); err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	for i, serve := range []func(net.Listener) error{s.Serve, s.ServeTLS} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*[]*string{&s.clear, &s.direct}[i] = l.Addr().String()
		go func() { s.serving <- serve(tight{l}) }()
	}
	return s, nil
}

// tight has the kernel keep little of what the server writes, so that peers that
// do not read are the server's problem soon.
type tight struct{ net.Listener }

// Accept implements net.Listener.
func (l tight) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	return c, err
}

// limited is a change of the limits.
func limited(f func(l *server.Limits)) func(*server.Options) {
	return func(o *server.Options) { f(o.Limits) }
}
