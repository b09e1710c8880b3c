package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"

	"github.com/propolis-im/propolis/server"
)

// processorTime is what the process has used, client and server alike.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoginCPU compares the processor time of a whole login with
// SCRAM-SHA-256-PLUS, both ends together, to that of a bare TLS handshake with the
// same certificate and without resumption, in the same run. The client has derived
// its keys before, as those that save them do.
func BenchmarkLoginCPU(b *testing.B) {
	cert := issue(b, x509.ECDSAWithSHA256)
	s := open(b, func(o *server.Options) {
		o.SASL = newBinder(b)
		o.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
	})
	bare := handshakes(b, cert)
	config := &tls.Config{InsecureSkipVerify: true, ServerName: domain}
	user, err := xdg.SHA256.NewClient("romeo", "secret", "")
	must(b, err)
	login := func() {
		c := dial(b, s.direct)
		cs := c.secureWith(config)
		c.features()
		cb, err := xdg.NewTLSExporterBinding(&cs)
		must(b, err)
		if got := c.authenticate("SCRAM-SHA-256-PLUS", user.NewConversationWithChannelBinding(cb)); !strings.HasPrefix(got, accepted) {
			b.Fatalf("got %s", got)
		}
		c.restart()
		c.features()
		c.bind("a")
		c.send(closing)
		c.expect(closing, end)
		must(b, c.tcp.Close())
	}
	handshake := func() {
		c := dial(b, bare)
		c.secureWith(config)
		if got := c.next(); got != end {
			b.Fatalf("got %s", got)
		}
		must(b, c.tcp.Close())
	}
	login() // what is done once
	var logins, shakes time.Duration
	n := 0
	for b.Loop() {
		start := processorTime(b)
		handshake()
		middle := processorTime(b)
		login()
		logins += processorTime(b) - middle
		shakes += middle - start
		n++
	}
	b.ReportMetric(float64(shakes.Microseconds())/float64(n), "handshake-µs")
	b.ReportMetric(float64(logins.Microseconds())/float64(n), "login-µs")
	b.ReportMetric(float64(logins)/float64(shakes), "ratio")
}

// handshakes accepts connections, makes the TLS handshake, and ends them.
func handshakes(b *testing.B, cert *tls.Certificate) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}})
				_ = t.Handshake() // the client notices
				_ = t.Close()
			}()
		}
	}()
	return l.Addr().String()
}
