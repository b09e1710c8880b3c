// Package scramclient lets the client of package sasl2 prove passwords with package
// scram. The two do not know each other; this is all it takes, to be copied.
package scramclient

import (
	"context"
	"errors"
	"strings"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// Options are those of a client that logs in as the user of o, with the password,
// keys, pins and policy of o. What else is wanted is for the caller to fill in.
func Options(o *scram.ClientOptions) *sasl2.ClientOptions {
	return &sasl2.ClientOptions{
		Binding: scram.BindingData,
		Mechanism: func(ctx context.Context, a sasl2.Attempt) (sasl2.Run, error) {
			return begin(ctx, *o, a)
		},
		Upgrade: func(ctx context.Context, task string, salt []byte, iterations int) ([]byte, error) {
			return upgrade(ctx, o, task, salt, iterations)
		},
	}
}

// Login is what package scram has to say of a login, to be kept; ok is false if the
// password was not needed or sent as it is.
func Login(l sasl2.Login) (kept scram.Login, ok bool) {
	r, ok := l.Run.(run)
	if !ok {
		return scram.Login{}, false
	}
	return r.Client.Login(), true
}

// run is a sasl2.Run of SCRAM.
type run struct{ *scram.Client }

var (
	_ sasl2.Run      = run{}
	_ sasl2.Relister = run{}
)

// Relist implements sasl2.Relister.
func (r run) Relist(o sasl2.Offer) { r.Listed(listing(o)) }

func listing(o sasl2.Offer) scram.Listing {
	return scram.Listing{Profile: scram.SASL2, Mechanisms: o.Mechanisms, BindingTypes: o.BindingTypes}
}

func begin(ctx context.Context, o scram.ClientOptions, a sasl2.Attempt) (sasl2.Run, error) {
	o.Policy.Tried = a.Tried
	local := scram.LocalTLS(a.TLS)
	choice, err := scram.Choose(listing(a.Offer), local, o.Policy, o.Pins)
	if err != nil {
		return nil, err
	}
	switch choice.Mechanism {
	case scram.External:
		return single{scram.External, []byte(o.Authzid)}, nil
	case scram.Plain:
		if a.Cached {
			return nil, errors.New("a password is sent only to a server that asks for it")
		}
		if o.Password == nil {
			return nil, scram.ErrNeedPassword
		}
		password, err := o.Password(ctx)
		if err != nil {
			return nil, err
		}
		out, err := scram.PlainMessage(o.Authzid, o.Username, password)
		return single{scram.Plain, out}, err
	}
	c, err := scram.NewClient(choice, &o)
	return run{c}, err
}

// single is a mechanism of one message, in which the server proves nothing.
type single struct {
	name string
	out  []byte
}

func (s single) Mechanism() string { return s.name }

func (s single) First() ([]byte, error) { return s.out, nil }

func (s single) Next(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("a challenge where there is none")
}

func (s single) Verify(data []byte) error {
	if len(data) > 0 {
		return errors.New("data where there is none")
	}
	return nil
}

// upgrade computes what is asked for in a task such as UPGR-SCRAM-SHA-512.
func upgrade(ctx context.Context, o *scram.ClientOptions, task string, salt []byte, iterations int) ([]byte, error) {
	for _, h := range scram.Hashes() {
		if "UPGR-"+h.Mechanism() != strings.TrimSpace(task) {
			continue
		}
		if o.Password == nil {
			return nil, scram.ErrNeedPassword
		}
		password, err := o.Password(ctx)
		if err != nil {
			return nil, err
		}
		if password, err = scram.PreparePassword(password); err != nil {
			return nil, err
		}
		return scram.SaltPassword(ctx, h, password, salt, iterations)
	}
	return nil, errors.New("unknown task")
}
