package scram

import (
	"crypto/tls"
	"slices"
)

// bind decides about channel binding by the rules of XEP-0440 §4. It sets the
// flag, the binding, and whether only a signed list can justify the decision.
func (c *Choice) bind(p ClientPolicy) error {
	c.Flag = 'n'
	o, l := &c.offer, &c.local
	plus, types := slices.ContainsFunc(o.Mechanisms, isPlus), len(o.BindingTypes) > 0
	switch {
	case p.Binding == BindingOff:
		return nil
	case l.TLSVersion == 0 && len(l.Bindings) == 0:
		// Rule 2: a client that cannot bind at all has nothing to decide.
		return p.unless(ErrBindingLocal)
	case types && !plus:
		return ErrBindingContradiction // rule 5
	case plus && !types && !o.TypesUnknown && o.Profile == SASL2:
		return ErrBindingContradiction // rule 4
	case !plus:
		if len(l.Bindings) > 0 {
			c.Flag = 'y' // rule 3
		}
		return p.unless(ErrBindingNotOffered)
	case o.strongest(p, plusSuffix) == 0:
		return c.withoutBinding(p, ErrBindingNotOffered, p.AllowUnprotected)
	}
	if c.common() {
		c.Flag = 'p'
		return nil
	}
	reason := ErrBindingNoCommon
	if len(l.Bindings) == 0 {
		reason = ErrBindingLocal
	}
	// Rule 6: without tls-server-end-point, which every server must have, it is
	// over, unless the list is signed (XEP-0474).
	mayGoOn := !types || slices.Contains(o.BindingTypes, TLSServerEndPoint)
	return c.withoutBinding(p, reason, mayGoOn && p.AllowUnprotected)
}

// common finds the best binding of both ends.
func (c *Choice) common() bool {
	for _, typ := range c.candidates() {
		for _, b := range c.local.Bindings {
			if b.Type == typ && len(b.Data) > 0 {
				c.Binding = b
				c.Guessed = len(c.offer.BindingTypes) == 0
				return true
			}
		}
	}
	return false
}

// candidates are the types that the server has, best first (XEP-0440 rules 1
// and 7). Where SASL1 has no list, the type is the default of the TLS version
// (RFC 5802 §6, RFC 9266).
func (c *Choice) candidates() []string {
	if len(c.offer.BindingTypes) == 0 {
		if c.local.TLSVersion >= tls.VersionTLS13 {
			return []string{TLSExporter}
		}
		return []string{TLSUnique}
	}
	preferred := []string{TLSExporter, TLSUnique, TLSServerEndPoint}
	return slices.DeleteFunc(preferred, func(typ string) bool {
		return !slices.Contains(c.offer.BindingTypes, typ)
	})
}

// withoutBinding goes on without binding though the server has it. A client that
// does so says 'n', and must see a signed list unless it may go on regardless.
func (c *Choice) withoutBinding(p ClientPolicy, reason error, regardless bool) error {
	c.missing = reason
	c.NeedListHash = !regardless
	return p.unless(reason)
}

// unless turns a reason for not binding into an error if binding is required.
func (p ClientPolicy) unless(reason error) error {
	if p.Binding == BindingRequire {
		return reason
	}
	return nil
}
