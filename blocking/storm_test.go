package blocking_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// storm is what sessions of a few accounts do to each other.
type storm struct {
	r    *rand.Rand
	sent []string // ids of messages
}

// stormAccounts are how many there are; the first stormBlockers of them block.
const stormAccounts, stormBlockers = 4, 2

func stormAccount(i int) string { return fmt.Sprintf("u%d@example.net", i) }

func (s *storm) next(c *muxtest.Client) string {
	id := fmt.Sprintf("%s-%d", c.Session.JID().Local(), len(s.sent))
	i := s.r.IntN(stormAccounts)
	peer := stormAccount(i)
	what := s.r.IntN(10)
	if what < 4 && c.Session.Account().String() >= stormAccount(stormBlockers) {
		what = 4
	}
	switch what {
	case 0:
		return setOf("block", peer)
	case 1:
		return setOf("unblock", peer)
	case 2:
		return setOf("block", "example.net", fmt.Sprintf("%s/r%d", peer, i))
	case 3:
		return setOf("unblock")
	case 4:
		return "<presence/>"
	}
	s.sent = append(s.sent, id)
	return fmt.Sprintf("<message type='chat' id='%s' to='%s/r%d'><body>Hi</body></message>", id, peer, i)
}

// TestStorm: core-im T-4, while some block everybody each message arrives or its sender
// is told, once; and what clients are told is what is kept. Who has blocked the
// recipient in between is not told: errors of somebody blocked are dropped too.
func TestStorm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			store := new(blocking.Memory)
			h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: new(muxtest.Committer)}, im(store, nil, contacts(t))...)
			s := &storm{r: rand.New(rand.NewPCG(seed, 0))}
			var clients []*muxtest.Client
			for i := range stormAccounts {
				c := h.Connect(t, fmt.Sprintf("%s/r%d", stormAccount(i), i))
				c.Send("<presence/>", getList)
				clients = append(clients, c)
			}
			for range 300 {
				for _, c := range clients {
					c.Write(s.next(c))
				}
			}
			h.Settle()
			ends := make(map[string]int)
			for i, c := range clients {
				listed := make(map[string]bool)
				for _, el := range c.Arrived() {
					st, err := mux.Parse([]byte(el))
					if err != nil {
						t.Fatal(err)
					}
					switch {
					case st.Kind() == mux.Message:
						ends[st.ID()]++
					case st.Kind() == mux.IQ && st.Type() == "set":
						follow(listed, st)
					}
				}
				list, err := store.Load(t.Context(), addr(stormAccount(i)))
				if err != nil || len(list) != len(listed) {
					t.Errorf("seed %d: %s was told %v, kept is %v, error %v", seed, stormAccount(i), listed, list, err)
				}
				for _, a := range list {
					if !listed[a.String()] {
						t.Errorf("seed %d: %s was not told of %s", seed, stormAccount(i), a)
					}
				}
			}
			for _, id := range s.sent {
				if n := ends[id]; n > 1 || n < 1 && id >= stormAccount(stormBlockers)[:2] {
					t.Errorf("seed %d: message %s has come out %d times", seed, id, ends[id])
				}
			}
		})
	}
}

// follow applies a push to what a client knows of its list.
func follow(listed map[string]bool, push *mux.Stanza) {
	payload := push.Children()[0]
	el, err := payload.Element()
	if err != nil {
		panic(err) // the kernel has written it
	}
	if payload.Name.Local == "unblock" && len(el.Children()) == 0 {
		clear(listed)
	}
	for _, item := range el.Children() {
		if payload.Name.Local == "block" {
			listed[item.Attr("jid")] = true
		} else {
			delete(listed, item.Attr("jid"))
		}
	}
}
