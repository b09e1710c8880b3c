package negotiate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// asksMore is a step that asks once more before it ends.
func asksMore(end mux.Outcome) stepFunc {
	return always(mux.Outcome{Reply: mux.Raw("<more xmlns='urn:x'/>"), Next: func(_ context.Context, _ *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
		if el.Name().Local != "go" {
			return mux.Outcome{Reply: mux.Raw("<not xmlns='urn:x' what='" + el.Name().Local + "'/>")}, nil
		}
		return end, nil
	}}, nil)
}

// exclusives are about exchanges in which nothing else may come (XEP-0388 §2.4).
var exclusives = []transcript{
	{name: "goes on", with: having(nonza(asksMore(mux.Outcome{Reply: mux.Raw("<end xmlns='urn:x'/>")}))), text: opened +
		goes + "S: <more xmlns='urn:x'/>\n" + goes + "S: <end xmlns='urn:x'/>\n" + goes + "S: <more xmlns='urn:x'/>"},
	{name: "whatever comes", with: having(nonza(asksMore(mux.Outcome{}))), text: opened +
		goes + "S: <more xmlns='urn:x'/>\nC: {romeo}\nS: <not xmlns='urn:x' what='auth'/>\nC: {romeo}\nS: {success}"},
	{name: "a stanza", with: having(nonza(asksMore(mux.Outcome{}))), text: opened +
		goes + "S: <more xmlns='urn:x'/>\nC: <message/>\nS: <not xmlns='urn:x' what='message'/>"},
	{name: "no white space", with: having(nonza(asksMore(mux.Outcome{}))), text: opened +
		goes + "S: <more xmlns='urn:x'/>\nC:  <go xmlns='urn:x'/>\nS: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "white space before and after", with: having(nonza(asksMore(mux.Outcome{Reply: mux.Raw("<end xmlns='urn:x'/>")}))), text: opened +
		"C:  <go xmlns='urn:x'/>\nS: <more xmlns='urn:x'/>\n" + goes + "S: <end xmlns='urn:x'/>\nC:  {romeo}\nS: {success}"},
	{name: "authenticates at the end", with: having(nonza(asksMore(mux.Outcome{Reply: mux.Raw("<end xmlns='urn:x'/>"), Sets: mux.Authenticated, Account: romeo}))), text: opened +
		goes + "S: <more xmlns='urn:x'/>\n" + goes + "S: <end xmlns='urn:x'/>{bind}"},
	{name: "fails at the end", with: having(nonza(asksMore(mux.Outcome{Reply: mux.Raw("<failure xmlns='urn:x'/>"), Failed: "not-authorized"}))), text: opened +
		strings.Repeat(goes+"S: <more xmlns='urn:x'/>\n"+goes+"S: <failure xmlns='urn:x'/>\n", 2) +
		goes + "S: <more xmlns='urn:x'/>\n" + goes + "S: <failure xmlns='urn:x'/>{error policy-violation}\nEND", err: "policy-violation"},
	{name: "aborts have their own bound", with: having(nonza(always(mux.Outcome{Reply: mux.Raw("<failure xmlns='urn:x'/>"), Failed: "aborted"}, nil))), text: opened +
		strings.Repeat(goes+"S: <failure xmlns='urn:x'/>\n", 10) + goes + "S: <failure xmlns='urn:x'/>{error policy-violation}\nEND", err: "policy-violation"},
	{name: "last of all", with: having(
		mux.Feature{Name: "sum", Needs: mux.Secure, Forbids: mux.Authenticated, Last: func(_ context.Context, _ *mux.Stream, others []byte) xmlstream.Marshaler {
			if !strings.HasPrefix(string(others), "<mechanisms") || !strings.HasSuffix(string(others), "</limits>") {
				return nil
			}
			return mux.Raw("<sum xmlns='urn:sum'/>")
		}},
		mux.Feature{Name: "a", Needs: mux.Secure, List: lists("<a xmlns='urn:a'/>")},
	), text: "C: {open}\nS: {head}<stream:features>{mechanisms}<a xmlns='urn:a'/>{limits}<sum xmlns='urn:sum'/></stream:features>\nC: {romeo}\nS: {success}\n" +
		"C: {open}\nS: {head}<stream:features><bind{ns}><required/></bind>{session}<a xmlns='urn:a'/>{more}</stream:features>"},
	{name: "instead of what cannot be resumed", with: having(nonza(always(mux.Outcome{Sets: mux.Authenticated, Account: romeo, Become: &mux.Resumption{},
		Instead: func(_ context.Context, err error) (mux.Outcome, error) {
			if !errors.Is(err, mux.ErrNoSession) {
				return mux.Outcome{}, err
			}
			return mux.Outcome{Reply: mux.Raw("<fresh xmlns='urn:x'/>")}, nil
		}}, nil))), text: opened + goes + "S: <fresh xmlns='urn:x'/>{bind}"},
	{name: "instead of what cannot be bound", with: func(s *setup) {
		s.mux.MaxSessions = 1
		having(nonza(func(ctx context.Context, st *mux.Stream, _ *mux.Stanza) (mux.Outcome, error) {
			return mux.Outcome{Sets: mux.Authenticated, Account: romeo, Bind: &mux.BindOptions{Resource: "@\x00"},
				Instead: func(context.Context, error) (mux.Outcome, error) {
					return mux.Outcome{Reply: mux.Raw("<unbound xmlns='urn:x'/>")}, nil
				}}, nil
		}))(s)
	}, text: opened + goes + "S: <unbound xmlns='urn:x'/>{bind}"},
}

func TestServeExclusive(t *testing.T) {
	t.Parallel()
	play(t, exclusives)
}

// TestServeBoundComesFirst: in a step that binds, what others have for the session
// comes behind the answer and the features (auth-register IN-5).
func TestServeBoundComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		eager := having(nonza(func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error) {
			return mux.Outcome{Sets: mux.Authenticated, Account: romeo, Bind: &mux.BindOptions{Resource: "two"},
				Bound: func(context.Context, *mux.Event) xmlstream.Marshaler { return mux.Raw("<success xmlns='urn:x'/>") }}, nil
		}))
		eager(&s)
		s.exts = append(s.exts, sayer{})
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + goes + "S: <success xmlns='urn:x'/><stream:features xmlns:stream='http://etherx.jabber.org/streams'>{session}{more}</stream:features>" +
			"<message to='romeo@example.net/two'/>")
	})
}

// sayer has something for every session as soon as it is bound.
type sayer struct{}

func (sayer) Name() string { return "sayer" }

func (sayer) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Bound: func(_ context.Context, e *mux.Event) {
		s := e.Session
		e.Do(e.Account, func(_ context.Context, e *mux.Event) {
			e.Deliver(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message})}, s)
		})
	}})
	return nil
}

// TestStreamSlot: values of the time of negotiation are there until it ends.
func TestStreamSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		x := &counting{}
		s.exts = []mux.Extension{x}
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + goes + "S: <n xmlns='urn:x'>1</n>\n" + goes + "S: <n xmlns='urn:x'>2</n>\nC: {romeo}\nS: {success}\nC: {open}\nS: {head}{bind}\n" + bindX +
			"S: <iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>")
		time.Sleep(time.Second)
		if n := *x.key.Of(p.st); n != 0 {
			t.Errorf("%d after the end of negotiation, want 0", n)
		}
	})
}

// counting counts its steps on each stream.
type counting struct{ key mux.StreamKey[int] }

func (*counting) Name() string { return "counting" }

func (x *counting) Register(r *mux.Registry) error {
	x.key = mux.StreamSlot[int](r)
	r.Feature(nonza(func(_ context.Context, st *mux.Stream, _ *mux.Stanza) (mux.Outcome, error) {
		n := x.key.Of(st)
		*n++
		return mux.Outcome{Reply: mux.Raw("<n xmlns='urn:x'>" + string(rune('0'+*n)) + "</n>")}, nil
	}))
	return nil
}
