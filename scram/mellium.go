package scram

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/sasl"
)

// errPicked means that the caller's way of choosing is not ours.
var errPicked = errors.New("another mechanism must be used")

// Mechanisms are the client's mechanisms for programs that take those of
// mellium.im/sasl, as xmpp.SASL does: in order of preference, all that the policy
// allows, and each decides by [Choose] whether it may be used. Username, password
// and identity are those of the negotiator where the options have none.
//
// [Features] does better where it can be used. Behind this interface:
//
//   - The element of XEP-0440 is out of sight. The type of channel binding is the
//     default of the TLS version; a list that the server signs is compared with the
//     mechanisms and any set of the known types, and refused if it has others.
//   - The caller picks the first mechanism that is listed. If that has channel
//     binding and this connection has none, the login fails; take
//     [BindingOff] for a server that lists -PLUS in vain.
//   - There is no context: the derivation of keys cannot be cancelled, and lasts
//     as long as MaxIterations allows.
//   - The next hash is not tried when the first was refused, and the refusal has
//     no type that programs can test.
//   - xmpp.SASL does not send an abort, and fails with servers that send their
//     last message as a challenge.
//   - PLAIN needs a TLS connection in sight of the negotiator.
//
// A mechanism called by a server fails.
func Mechanisms(o *ClientOptions) []sasl.Mechanism {
	var options ClientOptions
	if o != nil {
		options = *o
	}
	p := options.Policy
	var names []string
	if p.External {
		names = append(names, External)
	}
	for _, suffix := range [...]string{plusSuffix, ""} {
		if suffix != "" && p.Binding == BindingOff || suffix == "" && p.Binding == BindingRequire {
			continue
		}
		for _, h := range hashes {
			if p.allows(h) {
				names = append(names, h.Mechanism()+suffix)
			}
		}
	}
	if p.AllowPlain && !options.Pins.NoPlain && p.Binding != BindingRequire {
		names = append(names, Plain)
	}
	mechanisms := make([]sasl.Mechanism, len(names))
	for i, name := range names {
		mechanisms[i] = options.mechanism(name)
	}
	return mechanisms
}

// mechanism is one of them. It keeps its state in the negotiator, as it must.
func (o ClientOptions) mechanism(name string) sasl.Mechanism {
	return sasl.Mechanism{
		Name: name,
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			return o.start(n, name)
		},
		Next: func(n *sasl.Negotiator, challenge []byte, data any) (bool, []byte, any, error) {
			c, ok := data.(*Client)
			if !ok {
				return false, nil, nil, sasl.ErrTooManySteps
			}
			if c.state == clientAwaitFirst {
				out, err := c.Next(context.Background(), challenge)
				return err == nil, out, c, err
			}
			if err := c.Verify(challenge); err != nil {
				return false, nil, nil, err
			}
			return false, nil, nil, o.save(context.Background(), c.Login())
		},
	}
}

// start makes the first message, if this is the mechanism to use.
func (o ClientOptions) start(n *sasl.Negotiator, name string) (bool, []byte, any, error) {
	if n.State()&sasl.Receiving != 0 {
		return false, nil, nil, sasl.ErrInvalidState
	}
	offer := Listing{Profile: SASL1, Mechanisms: n.RemoteMechanisms(), TypesUnknown: true}
	choice, err := Choose(offer, LocalTLS(n.TLSState()), o.Policy, o.Pins)
	if err != nil {
		return false, nil, nil, err
	}
	if choice.Mechanism != name {
		err := fmt.Errorf("%w: %w, %s instead of %s", ErrNoMechanism, errPicked, choice.Mechanism, name)
		if isPlus(name) {
			err = fmt.Errorf("%w: %w", ErrBindingLocal, err)
		}
		return false, nil, nil, err
	}
	o.adopt(n)
	c, out, err := o.first(context.Background(), choice)
	return err == nil && c != nil, out, c, err
}

// adopt takes from the negotiator what the options lack.
func (o *ClientOptions) adopt(n *sasl.Negotiator) {
	username, password, identity := n.Credentials()
	if o.Username == "" {
		o.Username = string(username)
	}
	if o.Authzid == "" {
		o.Authzid = string(identity)
	}
	if o.Password == nil && len(password) > 0 {
		o.Password = FixedPassword(string(password))
	}
}

// first makes the first message of the chosen mechanism; the client is nil for
// mechanisms of one message.
func (o *ClientOptions) first(ctx context.Context, choice Choice) (*Client, []byte, error) {
	switch choice.Mechanism {
	case External:
		return nil, []byte(o.Authzid), nil
	case Plain:
		if o.Password == nil {
			return nil, nil, ErrNeedPassword
		}
		password, err := o.Password(ctx)
		if err != nil {
			return nil, nil, err
		}
		out, err := PlainMessage(o.Authzid, o.Username, password)
		return nil, out, err
	}
	c, err := NewClient(choice, o)
	if err != nil {
		return nil, nil, err
	}
	out, err := c.First()
	return c, out, err
}

func (o *ClientOptions) save(ctx context.Context, l Login) error {
	if o.Save == nil {
		return nil
	}
	if err := o.Save(ctx, l); err != nil {
		return fmt.Errorf("scram: login not kept: %w", err)
	}
	return nil
}
