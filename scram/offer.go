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
	// Hashes are those of the policy that may be listed, such as what [Census.Hashes]
	// has returned for the host when the connection was new: what the client was told
	// must not change. Nil or none of the policy's means all of them.
	Hashes []Hash
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
	tls        *tls.ConnectionState
	leaf       *x509.Certificate
	types      []string // of channel bindings
	mechanisms []string
	listed     []string
}

// On returns what is offered on a connection. Mechanisms with channel binding are
// among it if the data of a binding could be had.
func (a *Authenticator) On(c Connection) *Offer {
	o := a.offer(c) // no memory is needed for one that is only asked what it has
	return &o
}

func (a *Authenticator) offer(c Connection) Offer {
	o := Offer{a: a, tls: c.TLS, leaf: c.Leaf, types: a.bindingTypes(c.TLS, c.Leaf)}
	l := a.listed(c.Hashes)
	o.mechanisms = l.plain
	if len(o.types) > 0 {
		o.mechanisms = l.all
	}
	o.listed = o.mechanisms
	if c.Listed != nil {
		o.listed = slices.Clone(c.Listed)
	}
	return o
}

// bindingTypes are the types of channel binding whose data can be had, best first.
func (a *Authenticator) bindingTypes(cs *tls.ConnectionState, leaf *x509.Certificate) []string {
	has := 0 // as in typeSets
	for i, typ := range bindingTypes {
		ok := Available(typ, cs, leaf)
		if typ == TLSExporter && a.exports12(cs) {
			_, err := export(cs)
			ok = err == nil
		}
		if ok {
			has |= 1 << i
		}
	}
	return typeSets[has]
}

// typeSets are the sets of bindingTypes, by the bits of their places.
var typeSets = func() (sets [1 << len(bindingTypes)][]string) {
	for has := range sets {
		for i, typ := range bindingTypes {
			if has&(1<<i) != 0 {
				sets[has] = append(sets[has], typ)
			}
		}
	}
	return sets
}()

// exports12: tls-exporter is asked for on a version where it may be missing.
func (a *Authenticator) exports12(cs *tls.ConnectionState) bool {
	return a.o.ExporterTLS12 && cs != nil && cs.Version == tls.VersionTLS12
}

// binding is the data of a channel binding, nil for a type that is not offered.
func (o *Offer) binding(typ string) []byte {
	if !slices.Contains(o.types, typ) {
		return nil
	}
	if typ == TLSExporter && o.a.exports12(o.tls) {
		data, _ := export(o.tls)
		return data
	}
	data, _ := BindingData(typ, o.tls, o.leaf)
	return data
}

// Mechanisms returns the names of the mechanisms to list, best first.
func (o *Offer) Mechanisms() []string { return slices.Clone(o.mechanisms) }

// ChannelBindings returns the types to advertise (XEP-0440 §2), best first. With
// none the element must be left out.
func (o *Offer) ChannelBindings() []string { return slices.Clone(o.types) }

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
		Plus: plus, LenientY: o.a.o.LenientY,
		PlusAdvertised: slices.ContainsFunc(o.listed, func(m string) bool { return strings.HasSuffix(m, suffixPlus) }),
	}
	if plus {
		config.binding = o.binding // no client without it may use any
	}
	if !o.a.o.DisableListHash {
		config.ListHash = o.a.lists.of(h, o.listed, o.types)
		if o.tls != nil {
			config.TLSVersion = TLSVersionText(o.tls.Version)
		}
	}
	return o.a.start(mechanism, host, h, config), nil
}
