package netio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds what a test waits for that should happen at once.
const patience = 10 * time.Second

// TestMain checks that no test left a goroutine behind.
func TestMain(m *testing.M) {
	if child() {
		return
	}
	code := m.Run()
	end := time.Now().Add(patience)
	left := goroutines()
	for ; len(left) > 0 && time.Now().Before(end); left = goroutines() {
		runtime.Gosched()
	}
	if len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = max(code, 1)
	}
	os.Exit(code)
}

// goroutines returns the stacks of those, except the caller's, that run or were
// started by code of this package.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(all[1:], func(stack string) bool {
		return !strings.Contains(stack, "internal/netio.")
	})
}

// link is a way for a Conn to reach its peer.
type link struct {
	name     string
	portable bool
	dial     func(t testing.TB) (server, client net.Conn)
}

var links = []link{
	{"tcp", false, tcpPair},
	{"tcp portable", true, tcpPair},
	{"pipe", false, func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }},
}

// onLinks runs a test on every kind of link.
func onLinks(t *testing.T, f func(t *testing.T, l link)) {
	t.Helper()
	for _, l := range links {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			f(t, l)
		})
	}
}

// open connects a Conn and its peer. At the end of the test both are closed,
// and the goroutines of the Conn have ended.
func (l link) open(t testing.TB, o Options) (*Conn, net.Conn) {
	t.Helper()
	server, client := l.dial(t)
	o.Portable = l.portable
	c := New(server, &o)
	t.Cleanup(func() {
		_ = client.Close()
		_ = c.Close()
		await(t, c.Done(), "the end of the connection")
		if n := c.Pending(); n != 0 {
			t.Errorf("%d bytes pending after the end", n)
		}
		if o.Budget != nil && c.out.memory != 0 {
			t.Errorf("%d bytes of memory kept after the end", c.out.memory)
		}
	})
	return c, client
}

// tcpPair connects two sockets. Their kernel buffers are small so that tests
// fill them quickly, but hold some segments of the loopback's 64 KiB: with less
// the kernel waits 200 ms before each (RFC 9293 §3.8.6.2.1).
func tcpPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, l.Close()) }()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	must(t, server.(*net.TCPConn).SetWriteBuffer(64<<10))
	must(t, client.(*net.TCPConn).SetReadBuffer(128<<10))
	return server, client
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for a channel.
func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// inBackground runs f and gives its error.
func inBackground(f func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// wantErr fails unless err is want.
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// pattern returns n bytes that tell where in the stream they belong.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// readExactly reads n bytes.
func readExactly(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if got, err := io.ReadFull(r, p); err != nil {
		t.Fatalf("read %d of %d bytes: %v", got, n, err)
	}
	return p
}

// tlsConfigs makes a certificate and the configurations of both sides.
func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	cert, err := newCertificate()
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, ServerName: "example.net", MinVersion: tls.VersionTLS12}
}

func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{"example.net"},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// secure puts TLS over a Conn and its peer.
func secure(t testing.TB, c *Conn, peer net.Conn) (server, client *tls.Conn) {
	t.Helper()
	sc, cc := tlsConfigs(t)
	must(t, c.SetTLS(true))
	server, client = tls.Server(c, sc), tls.Client(peer, cc)
	done := inBackground(client.Handshake)
	must(t, server.Handshake())
	must(t, await(t, done, "the handshake"))
	return server, client
}
