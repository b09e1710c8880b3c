package scram

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// External is the name of the EXTERNAL mechanism (RFC 4422 appendix A).
const External = "EXTERNAL"

const plusSuffix = "-PLUS"

// Profile is the way SASL is carried.
type Profile uint8

// The profiles of XMPP. Other protocols are like SASL1.
const (
	SASL1 Profile = iota // RFC 6120 §6
	SASL2                // XEP-0388
)

// Listing is what a server lists in one profile, exactly as received: the lists
// are checked against what the server signs.
type Listing struct {
	Profile    Profile
	Mechanisms []string
	// BindingTypes are those of the XEP-0440 element; none if there was no such
	// element.
	BindingTypes []string
	// TypesUnknown says that the caller cannot see that element, whether it is
	// there or not.
	TypesUnknown bool
}

// Local is what this end of the connection has.
type Local struct {
	// TLSVersion is the version in use; 0 means that TLS is not used, or out
	// of sight, as with a proxy.
	TLSVersion uint16
	// Bindings are the channel bindings that can be used, see [Bindings].
	Bindings []Binding
	// Secure says that the connection is encrypted and its peer verified
	// although TLSVersion is 0. PLAIN is sent over encrypted connections only.
	Secure bool
}

// LocalTLS is the client's end of a TLS connection whose handshake is complete.
func LocalTLS(cs *tls.ConnectionState) Local {
	if cs == nil || cs.Version == 0 {
		return Local{}
	}
	var leaf *x509.Certificate
	if len(cs.PeerCertificates) > 0 {
		leaf = cs.PeerCertificates[0]
	}
	return Local{TLSVersion: cs.Version, Bindings: Bindings(cs, leaf)}
}

// BindingPolicy says how much channel binding matters.
type BindingPolicy uint8

const (
	BindingPrefer  BindingPolicy = iota // used where both ends have it
	BindingRequire                      // no login without it
	BindingOff                          // never used, pins about it are ignored
)

// ClientPolicy is what a client may settle for. The zero value uses SCRAM with
// every hash and prefers channel binding.
type ClientPolicy struct {
	Binding BindingPolicy
	// Hashes are those that may be used; nil means all. The strongest that is
	// listed is taken, whatever their order.
	Hashes []Hash
	// AllowPlain uses PLAIN where the server lists no SCRAM and [Pins] do not
	// rule it out. It gives the password to the server.
	AllowPlain bool
	// External uses EXTERNAL where it is listed: the TLS connection has a
	// client certificate for the account.
	External bool
	// AllowUnprotected goes on without channel binding, though both ends know
	// of it, where the data for tls-server-end-point is not to be had here and
	// the server does not sign its list either. Somebody with a certificate for
	// the server can then sit between unnoticed.
	AllowUnprotected bool
	// Tried are mechanisms that were refused on this stream. Their hashes are
	// left out, and so is everything weaker in kind: without channel binding
	// after one with it, PLAIN after any.
	Tried []string
}

func (p ClientPolicy) allows(h Hash) bool {
	if p.Hashes != nil && !slices.Contains(p.Hashes, h) {
		return false
	}
	return !slices.ContainsFunc(p.Tried, func(name string) bool {
		return strings.TrimSuffix(name, plusSuffix) == h.Mechanism()
	})
}

// Choice is what a client does with an offer. Values come from [Choose] only.
type Choice struct {
	Mechanism string
	Hash      Hash    // 0 for PLAIN and EXTERNAL
	Flag      byte    // of the gs2-header: 'n', 'y' or 'p'; 0 for PLAIN and EXTERNAL
	Binding   Binding // with Flag 'p'
	// Guessed says that the type of channel binding is the default of the TLS
	// version, since the server has listed mechanisms with channel binding but no
	// types (SASL1 only). Some old servers mean another one, and refuse the login
	// ([ErrBindingGuessed]); with those, take [BindingOff]. Going on without binding
	// by itself would be what somebody between wants.
	Guessed bool
	// NeedListHash says that the exchange goes on only if the server signs its
	// list and the list is the one received (XEP-0474).
	NeedListHash bool
	// LostSASL2 says that the server had SASL2 before and this offer is SASL1.
	// A server may have given it up; the signature of the list cannot tell. It
	// deserves a warning.
	LostSASL2 bool

	missing error // what a missing list hash means
	offer   Listing
	local   Local
	policy  ClientPolicy
}

// Choose picks a mechanism and how to use it. It is a pure function: lists as
// received, the own end of the connection, what the user wants, and what earlier
// logins have shown. Preferred is EXTERNAL, where the policy has it, then SCRAM with
// channel binding, then SCRAM without, each with the strongest hash, then PLAIN,
// where the policy has it (RFC 6120 §6.3.3, XEP-0438 §5.1).
//
// The error wraps [ErrNoMechanism] or [ErrBinding]; the attempt must not go on.
func Choose(o Listing, l Local, p ClientPolicy, pins Pins) (Choice, error) {
	c := Choice{offer: o.clone(), local: l, policy: p, LostSASL2: pins.SASL2 && o.Profile == SASL1}
	if p.External && o.lists(External) && len(p.Tried) == 0 {
		c.Mechanism = External
		return c, nil
	}
	if o.strongest(p, "") == 0 && o.strongest(p, plusSuffix) == 0 {
		return c.plain(p, pins)
	}
	if err := c.bind(p); err != nil {
		return Choice{}, err
	}
	if err := c.pick(p); err != nil {
		return Choice{}, err
	}
	// XEP-0474, business rules: what was there once is not given up unless the
	// server has signed that it is gone.
	if p.Binding != BindingOff && strength(c.Binding.Type) < strength(pins.Binding) {
		c.NeedListHash, c.missing = true, ErrBindingLost
	}
	return c, nil
}

// pick sets the mechanism for the flag.
func (c *Choice) pick(p ClientPolicy) error {
	suffix := ""
	if c.Flag == 'p' {
		suffix = plusSuffix
	} else if slices.ContainsFunc(p.Tried, isPlus) {
		return ErrNoMechanism
	}
	if c.Hash = c.offer.strongest(p, suffix); c.Hash == 0 {
		if c.missing != nil {
			return c.missing // -PLUS alone is listed, and cannot be used
		}
		return ErrNoMechanism
	}
	c.Mechanism = c.Hash.Mechanism() + suffix
	return nil
}

// plain is the choice where no SCRAM can be used.
func (c Choice) plain(p ClientPolicy, pins Pins) (Choice, error) {
	switch {
	case !c.offer.lists(Plain) || len(p.Tried) > 0:
		return Choice{}, ErrNoMechanism
	case !p.AllowPlain || pins.NoPlain || p.Binding == BindingRequire:
		return Choice{}, ErrPlainRefused
	case c.local.TLSVersion == 0 && !c.local.Secure:
		return Choice{}, ErrPlainRefused // RFC 6120 §13.8.3
	}
	c.Mechanism = Plain
	return c, nil
}

func (o Listing) clone() Listing {
	o.Mechanisms = slices.Clone(o.Mechanisms)
	o.BindingTypes = slices.Clone(o.BindingTypes)
	return o
}

func (o Listing) lists(mechanism string) bool { return slices.Contains(o.Mechanisms, mechanism) }

// strongest is the best hash that is listed with this suffix, 0 if none is.
func (o Listing) strongest(p ClientPolicy, suffix string) Hash {
	for _, h := range hashes {
		if p.allows(h) && o.lists(h.Mechanism()+suffix) {
			return h
		}
	}
	return 0
}

func isPlus(mechanism string) bool { return strings.HasSuffix(mechanism, plusSuffix) }
