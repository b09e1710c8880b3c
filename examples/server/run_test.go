package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	patience = 20 * time.Second
	password = "correct horse"
)

// log is what a server writes to standard error.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // told of each write
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns the line that contains the words, of those behind the first octets.
func (l *log) await(t *testing.T, after int, words string) string {
	t.Helper()
	late := time.After(patience)
	for {
		for line := range strings.Lines(l.String()[after:]) {
			if strings.Contains(line, words) && strings.HasSuffix(line, "\n") {
				return line
			}
		}
		select {
		case <-l.more:
		case <-late:
			t.Fatalf("no line with %q in\n%s", words, l)
		}
	}
}

// running is a server of the test.
type running struct {
	log  *log
	addr string // for direct TLS
	stop func() // ends it and checks that it ends well
}

// launch runs the server.
func launch(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{log: &log{more: make(chan struct{}, 1)}}
	status := make(chan int, 1)
	args = append([]string{"-data", data, "-c2s", "off", "-c2s-tls", "127.0.0.1:0", "-http", "off", "-limits", "off"}, args...)
	go func() { status <- command(ctx, args, nil, os.Stdin, io.Discard, r.log) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case got := <-status:
			if got != success {
				t.Errorf("status %d of\n%s", got, r.log)
			}
		case <-time.After(patience):
			t.Errorf("the server does not end:\n%s", r.log)
		}
	})
	t.Cleanup(r.stop)
	r.addr = strings.Fields(between(r.log.await(t, 0, "ready "), "c2s-tls=", "\n"))[0]
	return r
}

// operate runs a command of the operator.
func operate(t *testing.T, data, input string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var stdout, stderr bytes.Buffer
	if status := command(t.Context(), append([]string{"-domain", "example.org", "-data", data}, args...), nil, stdin, &stdout, &stderr); status != success {
		t.Fatalf("%q: status %d, %s", args, status, &stderr)
	}
	return stdout.String()
}

// peer is a client that says what it is told to.
type peer struct {
	t    *testing.T
	conn *tls.Conn
	r    *bufio.Reader
}

func dial(t *testing.T, addr, domain string) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}}) // the certificate is not what is tested
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	p := &peer{t, conn, bufio.NewReader(conn)}
	t.Cleanup(p.close)
	p.open(domain)
	return p
}

func (p *peer) open(domain string) {
	p.send("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" + domain + "'>")
}

func (p *peer) send(text string) {
	p.t.Helper()
	_ = p.conn.SetDeadline(time.Now().Add(patience)) // for each step anew
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

// until reads up to and with one of the words, and returns all that it has read.
func (p *peer) until(words ...string) string {
	p.t.Helper()
	var got strings.Builder
	for {
		b, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatalf("%v after %q, want %q", err, got.String(), words)
		}
		got.WriteByte(b)
		for _, w := range words {
			if strings.HasSuffix(got.String(), w) {
				return got.String()
			}
		}
	}
}

// close ends the connection, so that a server which ends need not wait for that.
func (p *peer) close() { _ = p.conn.Close() }

// authenticate returns success, or the condition of the failure.
func (p *peer) authenticate(user, password string) string {
	p.t.Helper()
	p.until("</stream:features>")
	p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00%s\x00%s", user, password)) + "</auth>")
	answer := p.until("</failure>", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
	if strings.HasPrefix(answer, "<success") {
		return "success"
	}
	_, answer, _ = strings.Cut(answer, "'><")
	condition, _, _ := strings.Cut(answer, "/>")
	return condition
}

// login is a client with a session.
func login(t *testing.T, addr, user, domain string) *peer {
	t.Helper()
	p := dial(t, addr, domain)
	if got := p.authenticate(user, password); got != "success" {
		t.Fatalf("%s@%s: %s", user, domain, got)
	}
	p.open(domain)
	p.until("</stream:features>")
	p.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
	p.until("</iq>")
	return p
}

// alive makes an exchange.
func (p *peer) alive() {
	p.t.Helper()
	p.send("<iq type='get' id='alive'><ping xmlns='urn:xmpp:ping'/></iq>")
	p.until("id='alive'/>")
}
