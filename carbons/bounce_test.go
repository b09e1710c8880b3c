package carbons_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestOwnErrors: COMB-18: errors that this server makes for what has left the account,
// since another domain cannot be reached or there is nobody, are copied like others.
func TestOwnErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil))
		h.RefuseRoute("example.org", stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound})
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		phone.Send(enable)
		phone.Clear()
		for _, to := range []string{"juliet@example.org", "nobody@example.net", "example.net"} {
			desk.Send("<message to='" + to + "' type='chat' id='m'><body>x</body></message>")
			if got := copies(t, phone); !slices.Equal(got, []string{"sent m", "received m"}) {
				t.Errorf("%s: got %q", to, got)
			}
			if got := desk.Recv(); got.Type() != "error" || got.From().String() != to {
				t.Errorf("%s: got %s", to, got.Append(nil, ""))
			}
			desk.ExpectNone()
		}
	})
}
