package scram

import (
	"context"
	"fmt"
	"strings"
)

// check decides whether the exchange may go on.
func (c *Client) check(m serverFirst) error {
	switch {
	case !strings.HasPrefix(m.nonce, c.nonce), len(m.nonce) < len(c.nonce)+minServerNonce:
		return fmt.Errorf("%w: %w", ErrServerMessage, errServerNonce) // RFC 5802 §5.1
	case len(m.salt) < MinSalt || len(m.salt) > MaxSalt:
		return fmt.Errorf("%w: salt of %d octets", ErrWeakParameters, len(m.salt))
	case m.iterations < c.o.MinIterations || m.iterations > c.o.MaxIterations:
		return fmt.Errorf("%w: %d iterations", ErrWeakParameters, m.iterations)
	}
	if err := c.checkList(m.listHash); err != nil {
		return err
	}
	// XEP-0515 §4.2. Who does not see the own TLS cannot compare.
	if own := c.choice.local.TLSVersion; m.tlsVersion != "" && own != 0 && m.tlsVersion != TLSVersionText(own) {
		return ErrTLSVersionTampered
	}
	if m.iterations < c.o.Pins.Iterations[c.choice.Hash.Mechanism()] {
		return ErrIterationsDropped
	}
	return nil
}

// checkList compares the list that the server signs with the one received
// (XEP-0474 §6.2).
func (c *Client) checkList(listHash string) error {
	if listHash == "" {
		if c.choice.NeedListHash {
			return c.choice.missing
		}
		return nil
	}
	if !c.choice.offer.matches(c.choice.Hash, listHash) {
		return ErrListTampered
	}
	c.listVerified = true
	return nil
}

// matches reports whether the hash is that of the offer. Where the types are out
// of sight it may be that of the mechanisms with any of the known types: types
// nobody has looked at cannot have misled anybody.
func (o Listing) matches(h Hash, listHash string) bool {
	if !o.TypesUnknown {
		return equal([]byte(ListHash(h, o.Mechanisms, o.BindingTypes)), []byte(listHash))
	}
	known := [...]string{TLSExporter, TLSUnique, TLSServerEndPoint}
	for set := range 1 << len(known) {
		var types []string
		for i, typ := range known {
			if set&(1<<i) != 0 {
				types = append(types, typ)
			}
		}
		if equal([]byte(ListHash(h, o.Mechanisms, types)), []byte(listHash)) {
			return true
		}
	}
	return false
}

// findKeys returns kept keys, or derives them from the password (XEP-0438 §5.2).
func (c *Client) findKeys(ctx context.Context, m serverFirst) (ClientKeys, error) {
	for _, k := range c.o.Keys {
		if k.fits(c.choice.Hash, m.salt, m.iterations) {
			return k.clone(), nil
		}
	}
	if c.o.Password == nil {
		return ClientKeys{}, ErrNeedPassword
	}
	password, err := c.o.Password(ctx)
	if err != nil {
		return ClientKeys{}, err
	}
	prepared, err := PreparePassword(password)
	if err != nil {
		return ClientKeys{}, err
	}
	return NewClientKeys(ctx, c.choice.Hash, prepared, m.salt, m.iterations)
}
