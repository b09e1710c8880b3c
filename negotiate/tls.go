package negotiate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/propolis-im/propolis/mux"
)

var errNoTLS = errors.New("no TLS: there is none, or it is on")

// errInjected: bytes behind starttls were not protected by TLS, and must not
// count as if they had been (core-im XS-16).
var errInjected = errors.New("data behind starttls")

// startTLS handles the request for TLS (RFC 6120 §5.4.2). A refusal ends the
// stream properly.
func (r *run) startTLS() (next, error) {
	why := error(nil)
	switch {
	case !r.t.CanSecure() || r.st.State()&mux.Authenticated != 0:
		why = errNoTLS // core-im LC-10
	case r.t.Buffered():
		why = errInjected
	}
	if why != nil {
		if err := r.t.WriteElement([]byte("<failure xmlns='" + nsTLS + "'/>")); err != nil {
			return goOn, err
		}
		return goOn, fmt.Errorf("starttls: %w: %w", errRefused, why)
	}
	if err := r.t.WriteElement([]byte("<proceed xmlns='" + nsTLS + "'/>")); err != nil {
		return goOn, err
	}
	if err := r.t.Flush(); err != nil {
		return goOn, err
	}
	// All that was learnt in clear is forgotten (auth-register ST-11).
	r.t.Restart()
	r.opened, r.domain = false, mux.Address{}
	r.st.SetDomain("")
	ctx, cancel := context.WithTimeout(r.ctx, r.n.opt.TLSTimeout)
	defer cancel()
	if err := r.t.Secure(ctx); err != nil {
		// Nothing can be said any more: neither a timeout nor the end of the
		// connection is one of the stream, so the cause is not wrapped.
		return goOn, fmt.Errorf("TLS handshake: %v", err)
	}
	r.secured(r.t.TLS())
	return restart, nil
}

// secured tells the stream what is known of its TLS connection.
func (r *run) secured(cs *tls.ConnectionState) {
	r.st.SetTLS(cs)
	if c := r.t.Certificate(); c != nil {
		r.st.SetCertificate(leafOf(c))
	}
}

// leafOf is the certificate itself, parsed.
func leafOf(c *tls.Certificate) *x509.Certificate {
	if c.Leaf != nil {
		return c.Leaf
	}
	if len(c.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}
