package sasl2

import "time"

// use is an attempt to log in with a token.
type use struct {
	at         time.Time
	mechanism  string
	generation int64 // of the account's credentials at this moment
	// isNew and isCurrent say in which slot the token is that the proof was made
	// with.
	isNew, isCurrent bool
	count            int64 // -1 for none
	invalidate       bool
}

// verdict is what an attempt leads to.
type verdict uint8

const (
	refused  verdict = iota // not-authorized
	expired                 // credentials-expired
	accepted                // the client is as it is afterwards
)

// use decides on an attempt (XEP-0484 §3.4, §5.1). With accepted it returns the
// token that was used.
func (c *Client) use(u use) (t Token, v verdict) {
	slot := &c.Current
	switch {
	case u.isNew && c.New.Slot != "" && c.New.Mechanism == u.mechanism:
		slot = &c.New
	case u.isCurrent && c.Current.Slot != "" && c.Current.Mechanism == u.mechanism:
	default:
		return Token{}, refused
	}
	t = *slot
	if !u.at.Before(t.Expires) || t.Generation != u.generation {
		return t, expired
	}
	if u.count >= 0 {
		if u.count < t.Least {
			return t, refused
		}
		slot.Least = u.count + 1
	}
	if slot == &c.New {
		// §3.5: with its use all that were issued before are void.
		c.Current, c.New = c.New, Token{}
	}
	if u.invalidate {
		c.Current = Token{} // §3.6
	}
	return t, accepted
}

// issue puts a token into the slot for new ones (§5.1), which makes one void that
// was not used.
func (c *Client) issue(slot, mechanism string, generation int64, at time.Time, lifetime time.Duration) {
	c.New = Token{Slot: slot, Mechanism: mechanism, Generation: generation, Issued: at, Expires: at.Add(lifetime)}
}
