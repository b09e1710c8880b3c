package server_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"
)

// BenchmarkLoginCPU compares the processor time that a whole login costs a server,
// with SCRAM-SHA-256-PLUS over direct TLS, bind and the end, to that of a bare TLS
// handshake with the same certificate, in the same run; no session is taken up
// again. The client is in another process.
func BenchmarkLoginCPU(b *testing.B) {
	p := startProcess(b, time.Minute, scramEnv+"=yes")
	config := &tls.Config{InsecureSkipVerify: true, ServerName: domain}
	user, err := xdg.SHA256.NewClient("romeo", "secret", "")
	must(b, err)
	login := func() {
		c := dial(b, p.direct)
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
		c := dial(b, p.bare)
		c.secureWith(config)
		if got := c.next(); got != end {
			b.Fatalf("got %s", got)
		}
		must(b, c.tcp.Close())
	}
	const each = 50 // of a kind at a time, for what goes on a little longer than the client sees
	run := func(f func()) time.Duration {
		start := p.processorTime(b)
		for range each {
			f()
		}
		return p.processorTime(b) - start
	}
	run(handshake) // what is done once
	run(login)
	var logins, shakes time.Duration
	n := 0
	for b.Loop() {
		shakes += run(handshake)
		logins += run(login)
		n += each
	}
	b.ReportMetric(float64(shakes.Microseconds())/float64(n), "handshake-µs")
	b.ReportMetric(float64(logins.Microseconds())/float64(n), "login-µs")
	b.ReportMetric(float64(logins)/float64(shakes), "ratio")
}

// handshakes accepts connections, makes the TLS handshake, and ends them.
func handshakes() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	config := &tls.Config{GetCertificate: certificate}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				t := tls.Server(c, config)
				_ = t.Handshake() // the client notices
				_ = t.Close()
			}()
		}
	}()
	return l.Addr().String(), nil
}
