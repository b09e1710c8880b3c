package scram

import "maps"

// Pins are what earlier logins of an account have shown, so that a later one
// does not settle for less (XEP-0474, business rules). The zero value is that of an
// account never used before. A program keeps them with the account, in any form it
// likes; they are no secret, but must not be changed by others. Hashes are not
// pinned: a server may give them up.
type Pins struct {
	// NoPlain says that SCRAM or EXTERNAL has worked: PLAIN is never used
	// again.
	NoPlain bool `json:",omitempty"`
	// Binding is the type of channel binding last used. A weaker one is used
	// only if the server has signed its list (XEP-0474).
	Binding string `json:",omitempty"`
	// SASL2 says that the server had the profile of XEP-0388.
	SASL2 bool `json:",omitempty"`
	// Iterations are the highest iteration counts that logins succeeded with,
	// by the names of mechanisms without -PLUS. A lower count is refused with
	// [ErrIterationsDropped] until the entry is removed.
	Iterations map[string]int `json:",omitempty"`
}

// Equal reports whether both say the same.
func (p Pins) Equal(q Pins) bool {
	return p.NoPlain == q.NoPlain && p.Binding == q.Binding && p.SASL2 == q.SASL2 &&
		maps.Equal(p.Iterations, q.Iterations)
}

// after returns the pins after a login. It must have been complete: only then is
// what the server said known to be the server's.
func (p Pins) after(c Choice, iterations int, listVerified bool) Pins {
	p.SASL2 = p.SASL2 || c.offer.Profile == SASL2
	if c.Mechanism == Plain {
		return p
	}
	p.NoPlain = true
	switch {
	case c.Flag == 'p':
		p.Binding = c.Binding.Type
	case listVerified && c.policy.Binding != BindingOff:
		p.Binding = "" // the server itself has given it up
	}
	if c.Hash != 0 {
		p.Iterations = maps.Clone(p.Iterations)
		if p.Iterations == nil {
			p.Iterations = make(map[string]int, 1)
		}
		name := c.Hash.Mechanism()
		p.Iterations[name] = max(p.Iterations[name], iterations)
	}
	return p
}

// strength compares types of channel bindings. Data of the first two belongs to
// one connection; that of the last is the certificate's, and goes with the stolen
// key.
func strength(typ string) int {
	switch typ {
	case "":
		return 0
	case TLSExporter, TLSUnique:
		return 2
	}
	return 1
}
