package scram_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// TestEndPoint: RFC 5929 §4.1, the hash is that of the signature, but not weaker
// than SHA-256; CB-5 where there is none.
func TestEndPoint(t *testing.T) {
	t.Parallel()
	type sum = func([]byte) []byte
	s256 := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	s384 := func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }
	s512 := func(b []byte) []byte { h := sha512.Sum512(b); return h[:] }
	for algorithm, want := range map[x509.SignatureAlgorithm]sum{
		x509.ECDSAWithSHA256: s256, x509.ECDSAWithSHA384: s384, x509.ECDSAWithSHA512: s512,
		x509.SHA256WithRSA: s256, x509.SHA384WithRSA: s384, x509.SHA512WithRSA: s512,
		x509.SHA256WithRSAPSS: s256, x509.SHA384WithRSAPSS: s384, x509.SHA512WithRSAPSS: s512,
		x509.PureEd25519: nil,
	} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			leaf := issue(t, algorithm).Leaf
			got, err := scram.BindingData(scram.TLSServerEndPoint, &tls.ConnectionState{}, leaf)
			if want == nil {
				if !errors.Is(err, scram.ErrBinding) {
					t.Errorf("got %x, %v", got, err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, want(leaf.Raw)) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
	// Signatures that nobody makes any more.
	leaf := *issue(t, x509.ECDSAWithSHA256).Leaf
	for _, weak := range []x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1} {
		leaf.SignatureAlgorithm = weak
		if got, err := scram.BindingData(scram.TLSServerEndPoint, &tls.ConnectionState{}, &leaf); err != nil || !bytes.Equal(got, s256(leaf.Raw)) {
			t.Errorf("%v: got %x, %v", weak, got, err)
		}
	}
}

// TestBindings: both ends of a connection find the same, and each connection
// something else.
func TestBindings(t *testing.T) {
	t.Parallel()
	cert := issue(t, x509.ECDSAWithSHA256)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, other := connect(t, cert, version), connect(t, cert, version)
		server := scram.Bindings(c.server.TLS, c.server.Leaf)
		if len(server) != 2 {
			t.Errorf("%x: got %v", version, server)
		}
		for _, typ := range []string{scram.TLSExporter, scram.TLSUnique, scram.TLSServerEndPoint, "tls-other"} {
			_, err := scram.BindingData(typ, c.server.TLS, c.server.Leaf)
			if got := scram.Available(typ, c.server.TLS, c.server.Leaf); got != (err == nil) {
				t.Errorf("%x, %s: available %t, but %v", version, typ, got, err)
			}
		}
		for _, b := range server {
			if got := c.data(t, b.Type); got != string(b.Data) || got == "" {
				t.Errorf("%x, %s: client and server differ", version, b.Type)
			}
			if same := other.data(t, b.Type) == string(b.Data); same != (b.Type == scram.TLSServerEndPoint) {
				t.Errorf("%x, %s: the same on another connection: %v", version, b.Type, same)
			}
		}
	}
	for _, b := range []struct {
		typ string
		cs  *tls.ConnectionState
	}{{scram.TLSExporter, nil}, {"tls-other", &tls.ConnectionState{}}, {scram.TLSServerEndPoint, &tls.ConnectionState{}},
		{scram.TLSUnique, &tls.ConnectionState{Version: tls.VersionTLS13, TLSUnique: []byte("x")}}, {scram.TLSExporter, &tls.ConnectionState{Version: tls.VersionTLS12}}} {
		if data, err := scram.BindingData(b.typ, b.cs, nil); !errors.Is(err, scram.ErrBinding) {
			t.Errorf("%s: got %x, %v", b.typ, data, err)
		}
		if scram.Available(b.typ, b.cs, nil) {
			t.Errorf("%s is available", b.typ)
		}
	}
}
