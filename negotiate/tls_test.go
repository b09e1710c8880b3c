package negotiate_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	ours "github.com/propolis-im/propolis/scram"
)

// authenticator is how an assembler gives a [ours.Authenticator] to a
// negotiator.
type authenticator struct{ *ours.Authenticator }

func (a authenticator) Mechanisms(*mux.Stream) []string { return a.Authenticator.Mechanisms() }

func (a authenticator) Start(_ *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return a.Authenticator.Start(mechanism, domain)
}

// withRomeo has one account, with the password secret and cheap keys.
func withRomeo(t *testing.T) authenticator {
	t.Helper()
	policy := ours.Policy{Iterations: ours.MinIterations, Floor: ours.MinIterations, Hashes: []ours.Hash{ours.SHA256}}
	c, err := ours.NewCredentials("secret", policy)
	if err != nil {
		t.Fatal(err)
	}
	store := new(ours.Memory)
	if _, err := store.Create(t.Context(), "romeo@example.net", c); err != nil {
		t.Fatal(err)
	}
	return authenticator{ours.New(store, &ours.Options{Policy: policy, DisablePlain: true})}
}

// TestServeTLS is the whole ladder: STARTTLS, SCRAM by a client of other hands,
// bind.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}
		s.opt.SASL = withRomeo(t)
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(`
			C: {open}
			S: {head}{clear}
			C: <starttls{tls}/>
			S: <proceed{tls}/>
			TLS
			C: {open}
			S: {head}<stream:features><mechanisms{sasl}><mechanism>SCRAM-SHA-256</mechanism></mechanisms>{limits}</stream:features>
		`)
		if got, want := login(t, p, "SCRAM-SHA-256", conversation(t, "wrong")), expand("<failure{sasl}><not-authorized/></failure>"); got != want {
			t.Fatalf("wrong password: %s, want %s", got, want)
		}
		if got := login(t, p, "SCRAM-SHA-256", conversation(t, "secret")); !strings.HasPrefix(got, expand("<success{sasl}>dj")) {
			t.Fatalf("right password: %s", got)
		}
		if p.st.TLS() == nil || p.st.State() != mux.Secure|mux.Authenticated {
			t.Errorf("TLS %v, state %b", p.st.TLS(), p.st.State())
		}
		p.run("C: {open}\nS: {head}{bind}\n" + bindX + "S: <iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>\nC: {end}\nS: {end}")
	})
}

// conversation is a client's side of an exchange, for romeo.
func conversation(t *testing.T, password string) *scram.ClientConversation {
	t.Helper()
	client, err := scram.SHA256.NewClient("romeo", password, "")
	if err != nil {
		t.Fatal(err)
	}
	return client.NewConversation()
}

// login returns the server's last answer.
func login(t *testing.T, p *peer, mechanism string, c *scram.ClientConversation) string {
	t.Helper()
	first, err := c.Step("")
	if err != nil {
		t.Fatal(err)
	}
	p.send(expand("<auth{sasl} mechanism='"+mechanism+"'>") + b64(first) + "</auth>")
	answer := p.take()
	text, ok := strings.CutPrefix(answer, expand("<challenge{sasl}>"))
	if !ok {
		return answer
	}
	final, err := c.Step(unb64(t, strings.TrimSuffix(text, "</challenge>")))
	if err != nil {
		t.Fatal(err)
	}
	p.send(expand("<response{sasl}>") + b64(final) + "</response>")
	answer = p.take()
	if text, ok = strings.CutPrefix(answer, expand("<success{sasl}>")); ok {
		if _, err := c.Step(unb64(t, strings.TrimSuffix(text, "</success>"))); err != nil || !c.Valid() {
			t.Errorf("the client does not believe the server: %v", err)
		}
	}
	return answer
}

// TestServeHandshakeTimeout: core-im LC-21, the connection just ends.
func TestServeHandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}).connect()
		defer p.stop()
		p.run("C: {open}\nS: {head}{clear}\nC: <starttls{tls}/>\nS: <proceed{tls}/>")
		time.Sleep(30*time.Second - 1)
		if p.closed() {
			t.Fatal("closed too early")
		}
		time.Sleep(time.Nanosecond)
		if !p.closed() {
			t.Fatal("not closed")
		}
		p.expect("")
		<-p.done
		if _, told := negotiate.StreamError(p.err); p.err == nil || told {
			t.Errorf("error %v, stream error %t", p.err, told)
		}
	})
}

// TestServeHandshakeFails: bytes in clear where TLS should begin are not taken
// for XML (core-im XS-16).
func TestServeHandshakeFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, setup{conn: negotiate.ConnOptions{TLS: certificate(t)}}).connect()
		defer p.stop()
		p.run("C: {open}\nS: {head}{clear}\nC: <starttls{tls}/>\nS: <proceed{tls}/>")
		go func() { _, _ = p.c.Write([]byte(expand("{open}"))) }() // until the server hangs up
		<-p.done
		if p.err == nil || !strings.Contains(p.err.Error(), "TLS handshake") {
			t.Errorf("error %v", p.err)
		}
		if got := p.take(); strings.Contains(got, "stream") {
			t.Errorf("server sent %q", got)
		}
	})
}

// TestConnTransportDirectTLS: XEP-0368, TLS before the stream.
func TestConnTransportDirectTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		config := certificate(t)
		go func() {
			c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
			defer c.Close()
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
		}()
		c := tls.Server(server, config)
		tr := negotiate.NewConnTransport(c, &negotiate.ConnOptions{TLS: config})
		if tr.TLS() != nil {
			t.Error("TLS counts before the handshake")
		}
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if tr.TLS() == nil || tr.CanSecure() {
			t.Errorf("TLS %v, can secure %t", tr.TLS(), tr.CanSecure())
		}
		if err := tr.Secure(t.Context()); err == nil {
			t.Error("TLS inside TLS")
		}
		tr.Finish()
	})
}

// TestConnTransportVersions: what a transport accepts with a plain configuration
// (RFC 7590 §3, RFC 8996).
func TestConnTransportVersions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		client *tls.Config
		want   uint16 // 0: refused
	}{
		{"TLS 1.3", &tls.Config{}, tls.VersionTLS13},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0},
		{"TLS 1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, 0},
		{"RC4", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				refused := make(chan error, 1)
				go func() {
					tt.client.InsecureSkipVerify = true
					c := tls.Client(client, tt.client)
					defer c.Close()
					refused <- c.Handshake()
				}()
				tr := negotiate.NewConnTransport(server, &negotiate.ConnOptions{TLS: certificate(t)})
				defer tr.Finish()
				err := tr.Secure(context.Background())
				if tt.want == 0 {
					if told := <-refused; err == nil || tr.TLS() != nil || told == nil || !strings.Contains(told.Error(), "remote error") {
						t.Errorf("error %v, the client was told %v", err, told)
					}
					return
				}
				if err != nil || tr.TLS() == nil || tr.TLS().Version != tt.want {
					t.Errorf("error %v, TLS %+v", err, tr.TLS())
				}
			})
		})
	}
}

// TestConnTransportCertificate: what tls-server-end-point needs.
func TestConnTransportCertificate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"list", "function"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config := certificate(t)
				want := &config.Certificates[0]
				if name == "function" {
					only := want
					config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return only, nil }}
				}
				client, server := net.Pipe()
				go func() {
					c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
					defer c.Close()
					if err := c.Handshake(); err != nil {
						t.Error(err)
					}
				}()
				tr := negotiate.NewConnTransport(server, &negotiate.ConnOptions{TLS: config})
				defer tr.Finish()
				if err := tr.Secure(context.Background()); err != nil {
					t.Fatal(err)
				}
				if got := tr.Certificate(); got == nil || string(got.Certificate[0]) != string(want.Certificate[0]) {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}
