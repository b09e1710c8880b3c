package negotiate

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/propolis-im/propolis/internal/tlscert"
)

// NewDirectTLS makes a transport over a connection that begins with TLS (XEP-0368): it
// makes the handshake, as the server, and knows the certificate that the client sees, for
// tls-server-end-point. The configuration should have the protocol xmpp-client. ctx bounds
// the handshake. With an error the connection is still open.
func NewDirectTLS(ctx context.Context, c net.Conn, config *tls.Config, o *ConnOptions) (*ConnTransport, error) {
	var opt ConnOptions
	if o != nil {
		opt = *o
	}
	opt.Certificate = nil
	secured := tls.Server(c, noting(config, func(c *tls.Certificate) { opt.Certificate = c }))
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return NewConnTransport(secured, &opt), nil
}

// noting is a configuration that tells the certificate which the client sees, also if
// that was in an earlier session, and whichever configuration base has for it.
func noting(base *tls.Config, note func(*tls.Certificate)) *tls.Config {
	config := base.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen := base
		if base.GetConfigForClient != nil {
			other, err := base.GetConfigForClient(hello)
			if err != nil {
				return nil, err
			}
			if other != nil {
				chosen = other
			}
		}
		c, err := choose(chosen, hello)
		if err != nil || c == nil || len(c.Certificate) == 0 {
			return chosen, err // which fails in its own way
		}
		note(c)
		bound := tlscert.Bind(chosen, c.Certificate[0])
		bound.Certificates, bound.GetCertificate = []tls.Certificate{*c}, nil
		return bound, nil
	}
	return config
}

// choose is the certificate that a configuration has for a client, nil for none.
func choose(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if get := config.GetCertificate; get != nil {
		if c, err := get(hello); err != nil || c != nil {
			return c, err
		}
	}
	own := config.Certificates
	for i := range own {
		if hello.SupportsCertificate(&own[i]) == nil {
			return &own[i], nil
		}
	}
	if len(own) > 0 {
		return &own[0], nil
	}
	return nil, nil
}
