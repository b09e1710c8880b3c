package server_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/server"
)

// binder authenticates romeo, whose password is secret, with SCRAM.
type binder struct {
	*scram.Authenticator
	store *scram.Memory
	keys  scram.Credentials
}

func newBinder(t testing.TB) binder {
	t.Helper()
	b, err := makeBinder(t.Context())
	must(t, err)
	return b
}

func makeBinder(ctx context.Context) (binder, error) {
	policy := scram.Policy{Iterations: scram.MinIterations, Floor: scram.MinIterations, Hashes: []scram.Hash{scram.SHA256}}
	c, err := scram.NewCredentials("secret", policy)
	if err != nil {
		return binder{}, err
	}
	store := new(scram.Memory)
	b := binder{scram.New(store, &scram.Options{Policy: policy}), store, c}
	return b, b.add(ctx, "romeo")
}

// add makes one more account with that password.
func (b binder) add(ctx context.Context, local string) error {
	_, err := b.store.Create(ctx, local+"@"+domain, b.keys)
	return err
}

func (b binder) on(st *mux.Stream) *scram.Offer {
	return b.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

func (b binder) Mechanisms(st *mux.Stream) []string      { return b.on(st).Mechanisms() }
func (b binder) ChannelBindings(st *mux.Stream) []string { return b.on(st).ChannelBindings() }

func (b binder) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return b.on(st).Start(mechanism, domain)
}

// rsaKey is one for all certificates: it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// serial is the number of the last certificate: no two are the same.
var serial atomic.Int64

// issue makes a certificate with a signature of that kind.
func issue(t testing.TB, algorithm x509.SignatureAlgorithm) *tls.Certificate {
	t.Helper()
	var (
		key crypto.Signer
		err error
	)
	switch algorithm {
	case x509.PureEd25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		key, err = rsaKey()
	}
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial.Add(1)), DNSNames: []string{domain}, SignatureAlgorithm: algorithm,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// secureWith makes the TLS handshake, and returns what the client knows of it.
func (c *client) secureWith(config *tls.Config) tls.ConnectionState {
	c.t.Helper()
	t := tls.Client(c.tcp, config)
	must(c.t, t.Handshake())
	c.conn = t
	c.restart()
	return t.ConnectionState()
}

// authenticate plays an exchange with SCRAM, and returns the server's last element.
func (c *client) authenticate(mechanism string, x *xdg.ClientConversation) string {
	c.t.Helper()
	first, err := x.Step("")
	must(c.t, err)
	c.send("<auth xmlns='" + nsSASL + "' mechanism='" + mechanism + "'>" + base64.StdEncoding.EncodeToString([]byte(first)) + "</auth>")
	for {
		got := c.next()
		text, challenge := strings.CutPrefix(got, "<challenge xmlns='"+nsSASL+"'>")
		if !challenge {
			return got
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, "</challenge>"))
		must(c.t, err)
		answer, err := x.Step(string(raw))
		must(c.t, err)
		c.send("<response xmlns='" + nsSASL + "'>" + base64.StdEncoding.EncodeToString([]byte(answer)) + "</response>")
	}
}

const accepted = "<success xmlns='" + nsSASL + "'>dj"

// TestAttack36EndPoint: what a login is bound to with tls-server-end-point is the
// certificate that its connection was shown: on an old TLS session that is taken up
// again too, and whatever the certificate is by now. Where there is no such binding
// it is not offered.
func TestAttack36EndPoint(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.PureEd25519} {
		for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			t.Run(algorithm.String()+", "+name, func(t *testing.T) {
				t.Parallel()
				var current atomic.Pointer[tls.Certificate]
				current.Store(issue(t, algorithm))
				s := open(t, func(o *server.Options) {
					o.SASL = newBinder(t)
					o.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }
				})
				e := endPoints{t, s, algorithm, &tls.Config{InsecureSkipVerify: true, ServerName: domain, MaxVersion: version,
					ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
				e.login(false, nil)
				e.login(true, nil)
				e.login(true, func() { current.Store(issue(t, algorithm)) }) // while the stream is open
				e.login(false, nil)
				e.login(true, nil)
			})
		}
	}
}

type endPoints struct {
	t         *testing.T
	s         *site
	algorithm x509.SignatureAlgorithm
	config    *tls.Config
}

// login logs in and tells whether that was as it should be; meanwhile happens
// before.
func (e endPoints) login(resumed bool, meanwhile func()) {
	e.t.Helper()
	c := dial(e.t, e.s.direct)
	cs := c.secureWith(e.config)
	if cs.DidResume != resumed {
		e.t.Errorf("resumed %v, want %v", cs.DidResume, resumed)
	}
	defined := e.algorithm != x509.PureEd25519
	if got := strings.Contains(c.features(), "<channel-binding type='tls-server-end-point'/>"); got != defined {
		e.t.Errorf("offered %v, want %v", got, defined)
	}
	if meanwhile != nil {
		meanwhile()
	}
	user, err := xdg.SHA256.NewClient("romeo", "secret", "")
	must(e.t, err)
	cb := xdg.ChannelBinding{Type: "tls-server-end-point", Data: []byte("what could it be")}
	want := "<failure xmlns='" + nsSASL + "'><malformed-request/></failure>"
	if defined {
		cb, err = xdg.NewTLSServerEndpointBinding(&cs)
		must(e.t, err)
		want = accepted
	}
	if got := c.authenticate("SCRAM-SHA-256-PLUS", user.NewConversationWithChannelBinding(cb)); !strings.HasPrefix(got, want) {
		e.t.Errorf("resumed %v: got %s", resumed, got)
	}
	must(e.t, c.tcp.Close())
}
