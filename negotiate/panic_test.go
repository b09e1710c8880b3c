package negotiate_test

import (
	"context"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// panicking is a SASL of which one part panics.
type panicking struct {
	saslTest
	in string
}

func (p panicking) at(where string) {
	if p.in == where {
		panic("broken")
	}
}

func (p panicking) Mechanisms(st *mux.Stream) []string {
	p.at("mechanisms")
	return p.saslTest.Mechanisms(st)
}

func (p panicking) ChannelBindings(*mux.Stream) []string {
	p.at("bindings")
	return nil
}

func (p panicking) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	p.at("start")
	ex, err := p.saslTest.Start(st, mechanism, domain)
	return panickingExchange{ex, p}, err
}

type panickingExchange struct {
	negotiate.Exchange
	p panicking
}

func (x panickingExchange) Step(ctx context.Context, in []byte) ([]byte, bool, error) {
	x.p.at("step")
	return x.Exchange.Step(ctx, in)
}

func (x panickingExchange) Account() string {
	x.p.at("account")
	return x.Exchange.Account()
}

// TestServePanic: whatever panics on behalf of a stream costs that stream and
// nothing else.
func TestServePanic(t *testing.T) {
	t.Parallel()
	const features = "C: {open}\nS: {head}{error internal-server-error}\nEND"
	const login = opened + "C: {romeo}\nS: {error internal-server-error}\nEND"
	for in, text := range map[string]string{
		"mechanisms": features, "bindings": features, "start": login, "step": login, "account": login, "list": features,
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := trusted()
				s.opt.SASL = panicking{in: in}
				if in == "list" {
					having(mux.Feature{Name: "broken", List: func(context.Context, *mux.Stream) xmlstream.Marshaler { panic("broken") }})(&s)
				}
				p := newSite(t, s).connect()
				defer p.stop()
				p.run(text)
			})
		})
	}
}
