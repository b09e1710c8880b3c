package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/smacks"
)

// BenchmarkLoginMemory is what is left of the login of [BenchmarkLoginCPU]'s sasl2
// without TLS, sockets and other processes: from the stream to the session, over a
// connection in memory, with a client that does no more than it must. It is for
// comparing one version of the packages that take part with another. The ends of the
// sessions are not counted. cpu-ns/op is the processor time, which depends less on what
// else the machine does.
func BenchmarkLoginMemory(b *testing.B) {
	x := newLogins(b)
	for i := range batch {
		x.open(i)
	}
	x.close() // what is done once
	b.ReportAllocs()
	i, used := 0, -processorTime(b)
	for b.Loop() {
		x.open(i)
		if i++; i == batch {
			b.StopTimer()
			used += processorTime(b)
			x.close()
			i = 0
			used -= processorTime(b)
			b.StartTimer()
		}
	}
	used += processorTime(b)
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

// TestAllocLogin: a login allocates little; a good part of it is for the data of the
// channel binding, and for what the session is going to need.
func TestAllocLogin(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x := newLogins(t)
	for i := range batch {
		x.open(i)
	}
	x.close() // what is done once
	i := 0
	allocs := testing.AllocsPerRun(batch-1, func() { // and once before
		x.open(i)
		i++
	})
	x.close()
	const most = 150
	if allocs > most {
		t.Errorf("%.0f allocations, want at most %d", allocs, most)
	}
}

// processorTime is what this process has used.
func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// logins logs in without a network.
type logins struct {
	t      testing.TB
	m      *mux.Mux
	n      *negotiate.Negotiator
	server *tls.ConnectionState // the ends of one connection, which all logins believe to have
	cert   *tls.Certificate
	people [batch]memoryClient
	conns  [batch]memoryConn // what they need is kept for the next login
}

// memoryClient is the client of one of them.
type memoryClient struct {
	begin     []byte // header and authenticate
	bare      string // of the client-first-message
	final     string // its client-final-message until the nonce
	clientKey []byte
	proof     hash.Hash // HMAC by StoredKey
}

const memoryNonce = "rOprNGfwEbeRWgbNEkqO"

func newLogins(t testing.TB) *logins {
	b := newBinder(t)
	x := &logins{t: t, cert: certificates()[domain]}
	exts := []mux.Extension{negotiate.Extension(), sasl2.New(fastBinder{b}, new(sasl2.Memory), nil), carbons.New(nil), smacks.New(nil, nil)}
	x.m = muxtest.New(t, nil, exts...).Mux()
	x.n = negotiate.New(x.m, &negotiate.Options{SASL: b})
	cs, data := x.shake()
	x.server = cs
	salted, err := pbkdf2.Key(sha256.New, "secret", b.keys.Keys[0].Salt, b.keys.Keys[0].Iterations, sha256.Size)
	must(t, err)
	for i := range x.people {
		must(t, b.add(t.Context(), person(i)))
		c := &x.people[i]
		c.clientKey = macOf(salted, "Client Key")
		stored := sha256.Sum256(c.clientKey)
		c.proof = hmac.New(sha256.New, stored[:])
		const gs2 = "p=tls-exporter,,"
		c.bare = "n=" + person(i) + ",r=" + memoryNonce
		c.final = "c=" + base64.StdEncoding.EncodeToString(append([]byte(gs2), data...)) + ",r="
		m := &meter{}
		c.begin = []byte(m.begin(i, "SCRAM-SHA-256-PLUS", gs2+c.bare, ""))
	}
	return x
}

func macOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// shake makes a TLS connection, and returns what the server knows of it, and the data
// of its channel binding as the client has it.
func (x *logins) shake() (*tls.ConnectionState, []byte) {
	ours, theirs := net.Pipe()
	s := tls.Server(theirs, &tls.Config{GetCertificate: certificate, SessionTicketsDisabled: true})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	c := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, ServerName: domain})
	must(x.t, c.Handshake())
	must(x.t, <-done)
	cs, seen := s.ConnectionState(), c.ConnectionState()
	data, err := seen.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	must(x.t, err)
	return &cs, data
}

// open logs in.
func (x *logins) open(i int) {
	c := &x.conns[i]
	c.x, c.client, c.in, c.step = x, &x.people[i], x.people[i].begin, 0
	c.sc.Reset(xmlscan.Limits{})
	c.st = x.m.NewStream(c, mux.Client)
	if err := x.n.Serve(context.Background(), c.st, c); err != nil {
		x.t.Fatalf("%v, server sent %s", err, c.out)
	}
	if !bytes.Contains(c.out, []byte("<enabled xmlns='urn:xmpp:sm:3'")) || !bytes.HasSuffix(c.out, []byte("</stream:features>")) {
		x.t.Fatalf("server sent %s", c.out)
	}
}

// close ends all sessions.
func (x *logins) close() {
	for i := range x.conns {
		st := x.conns[i].st
		s := st.Session()
		st.Gone(true)
		st.Close(nil)
		for s.State() != mux.Gone {
			runtime.Gosched()
		}
	}
}

// memoryConn is the server's end of a connection with one client, who answers when
// the server waits for it.
type memoryConn struct {
	x       *logins
	client  *memoryClient
	st      *mux.Stream
	sc      xmlscan.Scanner
	in, out []byte
	step    int
}

func (c *memoryConn) next() (xmlscan.Kind, []byte, error) {
	for {
		k, n, err := c.sc.Next(c.in)
		if err != nil {
			return k, nil, err
		}
		if k != xmlscan.None {
			raw := c.in[:n]
			c.in = c.in[n:]
			return k, raw, nil
		}
		if c.step++; c.step > 1 {
			return k, nil, io.ErrUnexpectedEOF
		}
		c.in = c.client.answer(c.out)
	}
}

// answer makes the client-final-message.
func (p *memoryClient) answer(out []byte) []byte {
	_, rest, _ := bytes.Cut(out, []byte("<challenge xmlns='urn:xmpp:sasl:2'>"))
	text, _, _ := bytes.Cut(rest, []byte("</challenge>"))
	challenge, err := base64.StdEncoding.AppendDecode(nil, text)
	nonce, _, ok := bytes.Cut(bytes.TrimPrefix(challenge, []byte("r=")), []byte(","))
	if err != nil || !ok {
		panic(fmt.Sprintf("server sent %s", out))
	}
	final := append(make([]byte, 0, 256), p.final...)
	final = append(final, nonce...)
	p.proof.Reset()
	for _, part := range [...][]byte{[]byte(p.bare), challenge, final} {
		p.proof.Write(part)
		if &part[0] != &final[0] {
			p.proof.Write([]byte(","))
		}
	}
	proof := p.proof.Sum(nil)
	subtle.XORBytes(proof, proof, p.clientKey)
	final = base64.StdEncoding.AppendEncode(append(final, ",p="...), proof)
	in := append(make([]byte, 0, 512), "<response xmlns='urn:xmpp:sasl:2'>"...)
	return append(base64.StdEncoding.AppendEncode(in, final), "</response>"...)
}

// ReadHeader implements [negotiate.Transport].
func (c *memoryConn) ReadHeader(context.Context) (negotiate.Header, error) {
	for {
		k, raw, err := c.next()
		if err != nil {
			return negotiate.Header{}, err
		}
		if k != xmlscan.Open {
			continue
		}
		h := negotiate.Header{Content: c.sc.Context().ContentNS()}
		for _, a := range c.sc.Attrs() {
			switch v := string(a.Value.Of(raw)); string(a.Name.Local.Of(raw)) {
			case "to":
				h.To = v
			case "from":
				h.From = v
			case "version":
				h.Version = v
			}
		}
		return h, nil
	}
}

// WriteHeader implements [negotiate.Transport].
func (c *memoryConn) WriteHeader(h negotiate.Header) error {
	c.out = append(append(c.out[:0], h.ID...), h.From...)
	return nil
}

// ReadElement implements [negotiate.Transport].
func (c *memoryConn) ReadElement(context.Context) (*mux.Stanza, error) {
	for {
		k, raw, err := c.next()
		if err != nil {
			return nil, err
		}
		if k == xmlscan.Element {
			return mux.FromScanner(&c.sc, raw), nil
		}
	}
}

// WriteElement implements [negotiate.Transport].
func (c *memoryConn) WriteElement(p []byte) error {
	c.out = append(c.out, p...)
	return nil
}

// Write implements [mux.Conn].
func (c *memoryConn) Write(p []byte) error { return c.WriteElement(p) }

func (*memoryConn) Pending() int                    { return 0 }
func (*memoryConn) Close(error)                     {}
func (*memoryConn) NoSpace(bool)                    {}
func (*memoryConn) Flush() error                    { return nil }
func (*memoryConn) Buffered() bool                  { return false }
func (*memoryConn) CanSecure() bool                 { return false }
func (*memoryConn) Secure(context.Context) error    { return net.ErrClosed }
func (c *memoryConn) TLS() *tls.ConnectionState     { return c.x.server }
func (*memoryConn) Trusted() bool                   { return true }
func (c *memoryConn) Certificate() *tls.Certificate { return c.x.cert }
func (c *memoryConn) Restart()                      { c.sc.Reset(xmlscan.Limits{}) }
func (*memoryConn) Authenticated()                  {}
func (*memoryConn) Resumable() bool                 { return true }
