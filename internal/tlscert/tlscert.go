// Package tlscert keeps TLS sessions together with the certificate that they
// began with. A client that takes a session up again is not shown a certificate;
// it goes on with the one it was shown then, and so must the server, which is not
// told which one that was (RFC 5929 §4).
package tlscert

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"slices"
)

// label sets what this package keeps in a session apart from what others keep.
const label = "propolis certificate\x00"

// Bind returns a copy of base for handshakes with one certificate: sessions that
// began with another one are not taken up, so that a full handshake shows this one.
// Tickets are encrypted as by base, which all copies share and which must not be
// modified.
func Bind(base *tls.Config, certificate []byte) *tls.Config {
	sum := sha256.Sum256(certificate)
	mark := append([]byte(label), sum[:]...)
	wrap, unwrap := base.WrapSession, base.UnwrapSession
	if wrap == nil {
		wrap = base.EncryptTicket
	}
	if unwrap == nil {
		unwrap = base.DecryptTicket
	}
	c := base.Clone()
	c.GetConfigForClient = nil
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, mark)
		return wrap(cs, ss)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := unwrap(identity, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		if !slices.ContainsFunc(ss.Extra, func(e []byte) bool { return bytes.Equal(e, mark) }) {
			return nil, nil
		}
		return ss, nil
	}
	return c
}
