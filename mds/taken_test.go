package mds_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/pep"
)

// TestTakenOut: whatever the type and the address of a message, and wherever in it the
// element stands at the top, nobody else gets it, now or later, and neither does who gets
// the message back; inside of something else it is none (XEP-0490 §5.2).
func TestTakenOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exts := append([]mux.Extension{offline.New(new(offline.Memory), nil)}, extensions(new(pep.Memory), new(archive.Memory), nil)...)
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), NoRecover: true}, exts...)
		h.AddAccount("romeo@example.net")
		juliet, nurse := h.Connect(t, "juliet@example.net/1"), h.Connect(t, "nurse@example.net/1")
		nurse.Send("<presence/>")
		nurse.Clear()
		const one = "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' id='secret'/></displayed>"
		const other = "<m:displayed xmlns:m='urn:xmpp:mds:displayed:0' secret='1'>secret</m:displayed>"
		for _, head := range []string{"type='chat'", "type='groupchat'", "type='headline'", "type='normal'", "type='error'", "type='odd'", ""} {
			for _, to := range []string{"to='romeo@example.net'", "to='romeo@example.net/gone'", "to='nurse@example.net'", "to='nurse@example.net/1'", "to='juliet@example.net'",
				"to='ghost@example.net'", "to='room@chat.example.org'", "to='example.net'", "to='@'", ""} {
				juliet.Send("<message " + head + " " + to + ">" + other + "<body>x</body>" + one + one + "</message>")
			}
		}
		h.Settle()
		romeo := h.Connect(t, "romeo@example.net/2")
		romeo.Send("<presence/>", "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		juliet.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		h.Settle()
		got := map[string][]string{"romeo": romeo.Arrived(), "juliet": juliet.Arrived(), "the nurse": nurse.Arrived(), "elsewhere": h.Routed("chat.example.org")}
		for who, l := range got {
			if all := strings.Join(l, ""); strings.Contains(all, "secret") || !strings.Contains(all, "<body>x</body>") && who != "juliet" {
				t.Errorf("%s got %s", who, all)
			}
		}
		// What stands inside of something else is a client's own affair.
		juliet.Send("<message to='nurse@example.net'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>" + one + "</message></forwarded></message>")
		if got := strings.Join(nurse.Arrived(), ""); strings.Count(got, "secret") != 1 {
			t.Errorf("the nurse got %s", got)
		}
	})
}
