package mux_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// unknownToys notes which handlers at ToAccount are asked, and about whom.
type unknownToys struct{ log []string }

func (*unknownToys) Name() string { return "asked" }

func (x *unknownToys) Register(r *mux.Registry) error {
	note := func(what string) mux.Handler {
		return func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
			switch {
			case e.Stanza.Type() != "get": // the answer
			case e.Unknown:
				x.log = append(x.log, what+" unknown")
			default:
				x.log = append(x.log, what)
			}
			return mux.Pass, nil
		}
	}
	r.Guard(mux.ToAccount, mux.AnyStanza, note("guard"))
	r.Guard(mux.ToAccount, mux.AnyStanza, note("guard of all"), mux.Unknown())
	r.Modify(mux.ToAccount, mux.AnyStanza, note("modifier"))
	r.Modify(mux.ToAccount, mux.AnyStanza, note("modifier of all"), mux.Unknown())
	return nil
}

// TestUnknownOption: for accounts that do not exist those are asked that want to.
func TestUnknownOption(t *testing.T) {
	t.Parallel()
	for account, want := range map[string][]string{
		"nobody@example.net": {"guard of all unknown", "modifier of all unknown"},
		"juliet@example.net": {"guard", "guard of all", "modifier", "modifier of all"},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := new(unknownToys)
			h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
			h.AddAccount("juliet@example.net")
			romeo := h.Connect(t, romeoFull)
			romeo.Send("<iq type='get' id='1' to='" + account + "'><x xmlns='urn:x'/></iq>")
			romeo.Expect("<iq type='error' id='1' from='" + account + "' to='" + romeoFull + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			if !slices.Equal(x.log, want) {
				t.Errorf("%s: asked %q, want %q", account, x.log, want)
			}
		})
	}
}
