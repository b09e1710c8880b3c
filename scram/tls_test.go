package scram_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/scram"
)

// rsaKey is one for all certificates: it takes long to make.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// serial is the number of the last certificate: no two are the same.
var serial atomic.Int64

// issue makes a certificate with a signature of that kind.
func issue(t testing.TB, algorithm x509.SignatureAlgorithm) tls.Certificate {
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
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial.Add(1)), DNSNames: []string{host}, SignatureAlgorithm: algorithm,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ends are both ends of a TLS connection.
type ends struct{ server, client scram.Connection }

// connect makes a TLS connection.
func connect(t testing.TB, cert tls.Certificate, version uint16) ends {
	t.Helper()
	a, b := net.Pipe()
	server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true}) // a pipe holds none
	client := tls.Client(b, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = client.Read(make([]byte, 1)) }() // takes the session tickets
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ss, cs := server.ConnectionState(), client.ConnectionState()
	return ends{scram.Connection{TLS: &ss, Leaf: cert.Leaf}, scram.Connection{TLS: &cs, Leaf: cs.PeerCertificates[0]}}
}

// data is what a client binds to.
func (c ends) data(t testing.TB, typ string) string {
	t.Helper()
	data, err := scram.BindingData(typ, c.client.TLS, c.client.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// startOn begins an exchange on a connection.
func (b bed) startOn(t testing.TB, c scram.Connection, mechanism string) *scram.Exchange {
	t.Helper()
	e, err := b.On(c).Start(mechanism, host)
	if err != nil {
		t.Fatalf("%s: %v", mechanism, err)
	}
	return e
}
