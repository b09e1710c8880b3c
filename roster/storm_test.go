package roster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// TestStorm has sessions of a few accounts do everything at once to each other's
// rosters (core-im T-4). When all has come to rest, what clients are told is what
// is kept, and no state is impossible.
func TestStorm(t *testing.T) {
	t.Parallel()
	const accounts, stanzas = 5, 150
	account := func(i int) string { return fmt.Sprintf("u%d@example.net", i) }
	random := func(r *rand.Rand, id int) string {
		peer := account(r.IntN(accounts))
		switch r.IntN(8) {
		case 0:
			return "<presence/>"
		case 1:
			return "<presence type='unavailable'/>"
		case 2:
			return fmt.Sprintf("<iq type='set' id='%d'><query xmlns='jabber:iq:roster'><item jid='%s' name='%d'/></query></iq>", id, peer, id)
		case 3:
			return fmt.Sprintf("<iq type='set' id='%d'><query xmlns='jabber:iq:roster'><item jid='%s' subscription='remove'/></query></iq>", id, peer)
		}
		return "<presence type='" + moves[r.IntN(len(moves))] + "' to='" + peer + "'/>"
	}
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			store := new(roster.Memory)
			h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions)}, extensions(store, nil)...)
			var clients []*muxtest.Client
			for i := range 2 * accounts {
				c := h.Connect(t, fmt.Sprintf("%s/%d", account(i/2), i))
				c.Send("<presence/>", getRoster(""))
				clients = append(clients, c)
			}
			for id := range stanzas {
				for _, c := range clients {
					c.Write(random(r, id))
				}
			}
			h.Settle()
			for i, c := range clients {
				c.Clear()
				c.Send(getRoster(" ver=''"))
				k := kept(t, store, mux.MustParseAddress(account(i/2)))
				items := ""
				for _, it := range k.Items {
					if it.Listed {
						items += string(roster.AppendItem(nil, &it))
					}
					if it.Ver > k.Ver || it.In != "" && it.Subscription&roster.From != 0 || it.Ask && it.Subscription&roster.To != 0 {
						t.Errorf("%s has %+v", account(i/2), it)
					}
				}
				got := c.Next()
				if err := muxtest.Match("<iq type='result' id='g' from='"+account(i/2)+"' to='{*}'><query xmlns='jabber:iq:roster' ver='"+fmt.Sprint(k.Epoch, ":", k.Ver)+"'>"+items+"</query></iq>", got, nil); err != nil {
					t.Errorf("%v: %s", err, got)
				}
			}
		})
	}
}
