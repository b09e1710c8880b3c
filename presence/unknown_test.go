package presence_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// TestUnknownAccount: PR-20a, strangers get the same answers, to the byte, from an
// account that does not exist, one that is offline, and one that is available.
func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	for _, stanza := range []string{
		"<presence type='probe' id='1' to='ADDR'/>",
		"<presence type='probe' id='1' to='ADDR/none'/>",
		"<presence type='unsubscribe' id='1' to='ADDR'/>",
		"<presence type='subscribed' id='1' to='ADDR'/>",
		"<presence type='unsubscribed' id='1' to='ADDR'/>",
		"<presence type='subscribe' id='1' to='ADDR'/>",
		"<presence id='1' to='ADDR'/>",
		"<presence id='1' type='unavailable' to='ADDR'/>",
		"<iq type='get' id='1' to='ADDR'><query xmlns='jabber:iq:roster'/></iq>",
		"<iq type='set' id='1' to='ADDR'><query xmlns='jabber:iq:roster'/></iq>",
	} {
		t.Run(stanza, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(new(roster.Memory), nil)...)
				h.AddAccount("idle@example.net")
				h.Connect(t, "bound@example.net/x").Send("<presence/>")
				romeo, org := h.Connect(t, "romeo@example.net/x"), h.DialDomain(t, mux.Server, "example.org")
				var local, remote []string
				for _, account := range []string{"nobody@example.net", "idle@example.net", "bound@example.net"} {
					text := strings.Replace(stanza, "ADDR", account, 1)
					romeo.Send(text)
					local = append(local, strings.ReplaceAll(strings.Join(romeo.Arrived(), "\n"), account, "ADDR"))
					romeo.Clear()
					org.Send(strings.Replace(text, " id=", " from='nurse@example.org/x' id=", 1))
					remote = append(remote, strings.ReplaceAll(strings.Join(h.Routed("example.org"), "\n"), account, "ADDR"))
				}
				for _, got := range [][]string{local, remote} {
					if got[0] != got[1] || got[0] != got[2] {
						t.Errorf("answers differ:\nnone:      %s\nidle:      %s\navailable: %s", got[0], got[1], got[2])
					}
				}
				if strings.Contains(stanza, "probe") && !strings.Contains(remote[0], "'unsubscribed'") {
					t.Errorf("a probe is answered with %q", remote[0])
				}
			})
		})
	}
}
