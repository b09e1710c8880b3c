package sasl2

import (
	"context"
	"errors"
	"strings"
)

// Relister is a [Run] that was begun by lists of an earlier connection and takes
// those of this one (XEP-0509). What the server signs is compared with them.
type Relister interface{ Relist(o Offer) }

// pipeline sends an attempt along with the stream header, by what the server listed
// before (XEP-0509 §2). Only what gives nothing away goes that way: a token's proof,
// or the first message of SCRAM, never PLAIN (auth-register IA-4).
func (x *clientLogin) pipeline(ctx context.Context) error {
	o := x.state.Offer
	if !x.o.Pipeline || o == nil || o.Version == "" || x.o.Save == nil {
		return nil
	}
	if _, _, ok := x.tokenUse(o); !ok {
		run, err := x.o.Mechanism(ctx, Attempt{Offer: *o, TLS: x.tls, Cached: true})
		if err != nil {
			return nil // what is listed now may serve
		}
		if _, ok := run.(Relister); !ok || !strings.HasPrefix(run.Mechanism(), "SCRAM-") {
			return nil
		}
		if x.flight, err = x.try(run, o, nil); err != nil {
			return err
		}
	} else {
		var err error
		if x.flight, err = x.next(ctx, o); err != nil {
			return err
		}
	}
	x.conn.flight = x.appendAuthenticate(nil, x.flight, o, true)
	return nil
}

// begun is the attempt that went with the header, nil for none. It was made by an
// older offer; what is listed now is what signatures are compared with.
func (e *clientExchange) begun(o *Offer) (*clientTry, error) {
	if e.flight == nil {
		return nil, nil
	}
	if r, ok := e.flight.run.(Relister); ok {
		r.Relist(*o)
	}
	return e.flight, nil
}

// lost forgets the offer of a flight that nobody has answered: the next login looks
// first.
func (x *clientLogin) lost(ctx context.Context, err error) error {
	if x.flight == nil {
		return err
	}
	x.flight, x.state.Offer = nil, nil
	return errors.Join(err, x.save(context.WithoutCancel(ctx)))
}
