package scram

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// suffixPlus ends the names of mechanisms with channel binding (RFC 5801 §3.2).
const suffixPlus = "-PLUS"

// Connection is what is known of the connection that a client logs in on. The
// zero value is one without TLS, or with TLS that somebody else ends.
type Connection struct {
	// TLS is the state of the TLS connection that this process ends.
	TLS *tls.ConnectionState
	// Leaf is the certificate that the client was shown on it; nil if that is not
	// known, as after an old session was taken up again.
	Leaf *x509.Certificate
	// Listed are the mechanisms that the client sees, if they are not exactly those
	// of [Offer.Mechanisms]: the list of the SASL profile in use, without those for
	// tokens (XEP-0474 §6.1).
	Listed []string
}

// Offer is what an [Authenticator] offers on one connection: what it tells and
// what it accepts depend on the connection alone, so another Offer for the same
// one says the same. It is immutable.
type Offer struct {
	a          *Authenticator
	bindings   []Binding
	mechanisms []string
	listed     []string
	version    string // attribute t
}

// On returns what is offered on a connection. Mechanisms with channel binding are
// among it if the data of a binding could be had.
func (a *Authenticator) On(c Connection) *Offer {
	o := &Offer{a: a, bindings: a.bindings(c)}
	if len(o.bindings) > 0 {
		for _, h := range a.o.Policy.Hashes {
			o.mechanisms = append(o.mechanisms, h.Mechanism()+suffixPlus)
		}
	}
	o.mechanisms = append(o.mechanisms, a.Mechanisms()...)
	o.listed = o.mechanisms
	if c.Listed != nil {
		o.listed = slices.Clone(c.Listed)
	}
	if c.TLS != nil {
		o.version = TLSVersionText(c.TLS.Version)
	}
	return o
}

func (a *Authenticator) bindings(c Connection) []Binding {
	all := Bindings(c.TLS, c.Leaf)
	if a.o.ExporterTLS12 && c.TLS != nil && c.TLS.Version == tls.VersionTLS12 {
		if data, err := export(c.TLS); err == nil {
			all = slices.Insert(all, 0, Binding{TLSExporter, data})
		}
	}
	return all
}

// Mechanisms returns the names of the mechanisms to list, best first.
func (o *Offer) Mechanisms() []string { return slices.Clone(o.mechanisms) }

// ChannelBindings returns the types to advertise (XEP-0440 §2), best first. With
// none the element must be left out.
func (o *Offer) ChannelBindings() []string { return o.types() }

func (o *Offer) types() []string {
	var types []string
	for _, b := range o.bindings {
		types = append(types, b.Type)
	}
	return types
}

// Start begins an exchange with a mechanism of the offer that was listed. It is
// [Authenticator.Start] with channel binding and with the protection of what was
// listed.
func (o *Offer) Start(mechanism, host string) (*Exchange, error) {
	if !slices.Contains(o.mechanisms, mechanism) || !slices.Contains(o.listed, mechanism) {
		return nil, fail(InvalidMechanism, errMechanism)
	}
	base, plus := strings.CutSuffix(mechanism, suffixPlus)
	h, ok := ParseMechanism(base)
	if !ok {
		return o.a.start(mechanism, host, 0, ServerConfig{}), nil
	}
	config := ServerConfig{
		Plus: plus, Bindings: o.bindings, LenientY: o.a.o.LenientY,
		PlusAdvertised: slices.ContainsFunc(o.listed, func(m string) bool { return strings.HasSuffix(m, suffixPlus) }),
	}
	if !o.a.o.DisableListHash {
		config.ListHash, config.TLSVersion = ListHash(h, o.listed, o.types()), o.version
	}
	return o.a.start(mechanism, host, h, config), nil
}
