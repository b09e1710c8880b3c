package smacks_test

import (
	"runtime"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// An acknowledgement that is on its way through the server when another stream takes the
// session over changes nothing any more, whatever it says (smacks SM-43): it has to wait
// for the session's lock, which the other stream has.
func TestStaleAcknowledgement(t *testing.T) {
	t.Parallel()
	for _, h := range []string{"1", "3", "77", "4294967295", "x"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, smacks.Options{})
			romeo := s.Connect(t, romeoFull)
			juliet, token := enabled(t, s.Host)
			romeo.Send(chats(1, 3)...)
			c := s.Dial(t, "juliet@example.net")
			err := c.Resume(&mux.Resumption{ID: juliet.Session.ID(), Reply: func(*mux.Session) xmlstream.Marshaler {
				juliet.Write(ack(h))
				for range 10_000 {
					runtime.Gosched() // until that waits
				}
				return mux.Raw(resumedWith(token, "0"))
			}})
			if err != nil {
				t.Fatal(err)
			}
			s.Settle()
			if list := s.x.Sessions(juliet.Session.Account()); len(list) != 1 || list[0].State != mux.Live || list[0].Queued != 3 {
				t.Errorf("h=%s: %+v", h, list)
			}
			c.Expect(resumedWith(token, "0"), late("1"), late("2"), late("3"))
			c.Send(ack("3"))
			if list := s.x.Sessions(juliet.Session.Account()); len(list) != 1 || list[0].State != mux.Live || list[0].Queued != 0 {
				t.Errorf("h=%s, and then 3: %+v", h, list)
			}
			romeo.ExpectNone()
		})
	}
}
