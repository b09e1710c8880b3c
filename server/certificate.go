package server

import (
	"crypto/tls"
	"sync"

	"github.com/propolis-im/propolis/internal/tlscert"
)

// tlsConfigs makes what handshakes use (RFC 7590 §3, XEP-0368 §3).
func (s *Server) tlsConfigs() {
	if s.opt.Certificate == nil {
		return
	}
	s.tls = s.tlsConfig()
	s.directTLS = s.tlsConfig("xmpp-client")
}

// tlsConfig is a configuration by which each connection gets to know the
// certificate that its peer sees, be it in this handshake or in the one that began
// the session which is taken up again (auth-register CB-4).
func (s *Server) tlsConfig(protocols ...string) *tls.Config {
	// What is written in one piece goes out in one: small records help peers that can
	// use a part of an answer, and an element is of no use before its end.
	base := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetCertificate: s.opt.Certificate,
		DynamicRecordSizingDisabled: true}
	front := base.Clone()
	b := &boundConfigs{base: base, of: make(map[string]*tls.Config)}
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, ok := hello.Context().Value(connKey{}).(*conn)
		cert, err := s.opt.Certificate(hello)
		if !ok || err != nil || cert == nil || len(cert.Certificate) == 0 {
			return nil, err
		}
		c.cert = cert
		return b.get(cert), nil
	}
	return front
}

// shown is the certificate that the connection has chosen.
func shown(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return hello.Context().Value(connKey{}).(*conn).cert, nil
}

// boundConfigs are configurations for one certificate each. Connections share
// them, for they live as long.
type boundConfigs struct {
	base *tls.Config
	mu   sync.Mutex
	of   map[string]*tls.Config // by the certificate's octets
}

// maxBound bounds how many are kept: certificates come and go.
const maxBound = 1024

func (b *boundConfigs) get(cert *tls.Certificate) *tls.Config {
	leaf := cert.Certificate[0]
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.of[string(leaf)]; c != nil {
		return c
	}
	if len(b.of) >= maxBound {
		clear(b.of)
	}
	c := tlscert.Bind(b.base, leaf)
	c.GetCertificate = shown
	b.of[string(leaf)] = c
	return c
}
