package smacks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/smacks"
)

// FI-28: stored messages are fed by nobody's stanza; they are in the store before they
// are on the wire. When the server crashes behind them, the client resumes
// and gets each once.
func TestFI28CrashBehindStored(t *testing.T) {
	t.Parallel()
	for h := range 4 {
		synctest.Test(t, func(t *testing.T) {
			kept := new(offline.Memory)
			s := newSite(t, smacks.Options{}, offline.New(kept, nil))
			romeo := s.Connect(t, romeoFull)
			for _, el := range chats(1, 3) {
				romeo.Send(strings.Replace(el, "/balcony", "", 1))
			}
			juliet := s.Connect(t, julietFull)
			p := &phone{t: t, c: juliet}
			juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			el, err := mux.Parse([]byte(juliet.Next()))
			if err != nil {
				t.Fatal(err)
			}
			p.token, p.mute = el.Attr("id"), true
			juliet.Send("<presence/>")
			if n := strings.Count(strings.Join(juliet.Arrived(), ""), "<message "); n != 3 {
				t.Fatalf("%d messages: %q", n, juliet.Arrived())
			}
			for p.in < uint32(h) {
				p.take(juliet.Arrived()[0], new(bool))
			}
			time.Sleep(250 * time.Millisecond) // NoteWithin
			s.Settle()
			s.more = []mux.Extension{offline.New(kept, nil)}
			s.open(t) // what the old host has in memory is lost
			p.mute = false
			p.back(s)
			p.read()
			p.c.Send("<presence/>") // brings whatever is still stored
			p.read()
			if got, want := fmt.Sprint(p.seen), fmt.Sprint(ids(1, 3)); got != want {
				t.Errorf("cut behind %d: seen %s, want %s", h, got, want)
			}
			p.c.Close()
			last := s.Connect(t, julietFull)
			last.Send("<presence/>")
			last.ExpectNone()
		})
	}
}
