package scram

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// The channel binding types of this package (XEP-0440 §2).
const (
	TLSExporter       = "tls-exporter"         // RFC 9266; TLS 1.3
	TLSUnique         = "tls-unique"           // RFC 5929 §3; TLS 1.2 only
	TLSServerEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// ErrBinding is wrapped by every error about data of a channel binding that is
// not to be had.
var ErrBinding = errors.New("scram: no channel binding")

// Binding is a channel binding of one connection: its type and its data.
type Binding struct {
	Type string
	Data []byte
}

// bindingTypes are all types, best first.
var bindingTypes = [...]string{TLSExporter, TLSUnique, TLSServerEndPoint}

// available reports whether [BindingData] has data, without making it.
func available(typ string, cs *tls.ConnectionState, leaf *x509.Certificate) bool {
	if cs == nil {
		return false
	}
	switch typ {
	case TLSExporter:
		return cs.Version >= tls.VersionTLS13 // where it cannot fail
	case TLSUnique:
		return cs.Version < tls.VersionTLS13 && len(cs.TLSUnique) > 0
	case TLSServerEndPoint:
		_, err := endPointHash(leaf)
		return err == nil
	}
	return false
}

// Bindings are the channel bindings that a TLS connection has, best first: those
// whose data both ends can compute. The leaf is the server's certificate in use;
// a client takes it from PeerCertificates. Nil means that it is not known.
func Bindings(cs *tls.ConnectionState, leaf *x509.Certificate) []Binding {
	var all []Binding
	for _, typ := range bindingTypes {
		if data, err := BindingData(typ, cs, leaf); err == nil {
			all = append(all, Binding{typ, data})
		}
	}
	return all
}

// BindingData is the data of a channel binding of one type. The error wraps
// [ErrBinding]: the type is unknown or not defined for this connection.
func BindingData(typ string, cs *tls.ConnectionState, leaf *x509.Certificate) ([]byte, error) {
	if cs == nil {
		return nil, fmt.Errorf("%w: no TLS", ErrBinding)
	}
	switch typ {
	case TLSExporter:
		return exported(cs)
	case TLSUnique:
		// RFC 9266 §3: not on TLS 1.3. Go gives none where the renegotiation
		// attack of 2014 is possible.
		if cs.Version >= tls.VersionTLS13 || len(cs.TLSUnique) == 0 {
			return nil, fmt.Errorf("%w: %s on this connection", ErrBinding, typ)
		}
		return cs.TLSUnique, nil
	case TLSServerEndPoint:
		return endPoint(leaf)
	}
	return nil, fmt.Errorf("%w: unknown type", ErrBinding)
}

// exported is the keying material of RFC 9266 §2. Before TLS 1.3 it would need
// the extended master secret (RFC 9266 §3), which peers cannot count on.
func exported(cs *tls.ConnectionState) ([]byte, error) {
	if cs.Version < tls.VersionTLS13 {
		return nil, fmt.Errorf("%w: %s before TLS 1.3", ErrBinding, TLSExporter)
	}
	return export(cs)
}

// export is that on any version; it fails where it must not be used.
func export(cs *tls.ConnectionState) ([]byte, error) {
	// The context is there and empty, which is not the same as none before 1.3.
	data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBinding, err)
	}
	return data, nil
}

// endPoint is the hash of the server's certificate (RFC 5929 §4.1).
func endPoint(leaf *x509.Certificate) ([]byte, error) {
	h, err := endPointHash(leaf)
	if err != nil {
		return nil, err
	}
	sum := h.New()
	sum.Write(leaf.Raw)
	return sum.Sum(nil), nil
}

// endPointHash is the hash function for that. It is undefined for signatures
// without one hash function of their own, such as Ed25519.
func endPointHash(leaf *x509.Certificate) (crypto.Hash, error) {
	if leaf == nil {
		return 0, fmt.Errorf("%w: certificate not known", ErrBinding)
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
		x509.SHA256WithRSA, x509.DSAWithSHA256, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		return crypto.SHA256, nil
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		return crypto.SHA384, nil
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("%w: %s of a certificate signed with %v", ErrBinding, TLSServerEndPoint, leaf.SignatureAlgorithm)
}
