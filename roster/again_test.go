package roster_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// TestAskAgain: SUB-26, a request without an answer is sent again at initial
// presence, once a day for each contact at most, also after a restart.
func TestAskAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(roster.Memory)
		// Of a time before the last request was noted.
		apply(t, store.Put(juliet, roster.Item{JID: mux.MustParseAddress("old@example.com"), Ask: true, Listed: true, Ver: 1}),
			store.Put(juliet, roster.Item{JID: mux.MustParseAddress("to@example.org"), Subscription: roster.To, Listed: true, Ver: 1}))
		h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer)}, extensions(store, nil)...)
		asks := func(domain string) (n int) {
			t.Helper()
			for _, el := range h.Routed(domain) {
				if strings.Contains(el, "type='subscribe'") {
					wantRequest(t, el, domain)
					n++
				}
			}
			return n
		}
		want := func(when string, org, com int) {
			t.Helper()
			if o, c := asks("example.org"), asks("example.com"); o != org || c != com {
				t.Errorf("%s: asked example.org %d times, example.com %d; want %d and %d", when, o, c, org, com)
			}
		}
		balcony, chamber := h.Connect(t, "juliet@example.net/balcony"), h.Connect(t, "juliet@example.net/chamber")
		balcony.Send("<presence type='subscribe' to='romeo@example.org'/>")
		want("at once", 1, 0)
		time.Sleep(24*time.Hour - time.Second)
		chamber.Send("<presence/>")
		want("the next day, too early", 0, 1)
		time.Sleep(time.Second)
		chamber.Send("<presence><show>away</show></presence>", "<presence to='x@example.org'/>")
		want("later presence", 0, 0)
		balcony.Send("<presence/>")
		want("the next day", 1, 0)
		chamber.Send("<presence type='unavailable'/>", "<presence/>")
		want("the same day", 0, 0)
		if i := kept(t, store, juliet).Items; len(i) != 3 || !i[1].Asked.Equal(time.Now()) || i[1].Ver != 2 {
			t.Errorf("kept %+v", i)
		}
		h.Restart(extensions(store, nil)...)
		again := h.Connect(t, "juliet@example.net/balcony")
		again.Send("<presence/>")
		want("the same day, after a restart", 0, 0)
		time.Sleep(25 * time.Hour)
		h.DialDomain(t, mux.Server, "example.org").Send("<presence type='subscribed' from='romeo@example.org' to='juliet@example.net'/>")
		again.Send("<presence type='unavailable'/>", "<presence/>")
		want("the day after, one has answered", 0, 1)
		if i := kept(t, store, juliet).Items; !i[1].Asked.IsZero() || i[1].Ask {
			t.Errorf("kept %+v", i[1])
		}
	})
}

func wantRequest(t *testing.T, el, domain string) {
	t.Helper()
	contact := map[string]string{"example.org": "romeo@example.org", "example.com": "old@example.com"}[domain]
	if want := "<presence type='subscribe' from='juliet@example.net' to='" + contact + "'/>"; muxtest.Match(want, el, nil) != nil {
		t.Errorf("got %s, want %s", el, want)
	}
}
