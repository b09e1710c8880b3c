package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

// benchHost serves example.net, where every account exists.
type benchHost struct{}

func (benchHost) Local(domain string) bool                               { return domain == "example.net" }
func (benchHost) Account(mux.Address) (exists, known bool)               { return true, true }
func (benchHost) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }
func (benchHost) Route(context.Context, *mux.Item) error                 { return nil }

// sinkConn takes everything.
type sinkConn struct{ n int64 }

func (c *sinkConn) Write(p []byte) error {
	c.n += int64(len(p))
	return nil
}
func (*sinkConn) Pending() int { return 0 }
func (*sinkConn) Close(error)  {}

// peer is a client that reads nothing.
type peer struct {
	st   *mux.Stream
	conn *sinkConn
}

func connect(b *testing.B, m *mux.Mux, full mux.Address) *peer {
	p := &peer{conn: new(sinkConn)}
	p.st = m.NewStream(p.conn, mux.Client)
	p.st.SetState(mux.Secure | mux.Authenticated)
	p.st.SetAccount(full.Bare())
	if _, err := p.st.Bind(b.Context(), &mux.BindOptions{Resource: full.Resource()}); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *peer) send(b *testing.B, s *mux.Stanza) {
	if err := p.st.Receive(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	p.st.Flush()
}

func contact(i int) mux.Address { return mux.MustParseAddress(fmt.Sprintf("contact%d@example.net", i)) }

// benchMux is a mux in which juliet has contacts, some of whom are online, and is
// online herself.
func benchMux(b *testing.B, contacts, online int) (*mux.Mux, *peer) {
	store := new(roster.Memory)
	put := func(account, of mux.Address) {
		if err := store.Put(account, roster.Item{JID: of, Subscription: roster.Both, Listed: true, Ver: 1})(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
	for i := range contacts {
		put(addr("juliet@example.net"), contact(i))
		put(contact(i), addr("juliet@example.net"))
	}
	x := roster.New(store, nil)
	m, err := mux.New(benchHost{}, nil, x, presence.New(x, nil))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Shutdown(context.Background()) })
	for i := range online {
		full, err := contact(i * contacts / max(online, 1)).WithResource("x")
		if err != nil {
			b.Fatal(err)
		}
		connect(b, m, full).send(b, mux.Make(mux.Head{Kind: mux.Presence}))
	}
	p := connect(b, m, addr("juliet@example.net/balcony"))
	p.send(b, mux.Make(mux.Head{Kind: mux.Presence}))
	return m, p
}

// BenchmarkPresence is one later presence to contacts of which some are online.
func BenchmarkPresence(b *testing.B) {
	for _, n := range []struct{ contacts, online int }{{1000, 0}, {1000, 50}, {50, 50}} {
		b.Run(fmt.Sprintf("%d_contacts/%d_online", n.contacts, n.online), func(b *testing.B) {
			_, p := benchMux(b, n.contacts, n.online)
			s, err := mux.Parse([]byte("<presence><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://example.org' ver='0123456789012345678901234567'/></presence>"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.send(b, s)
			}
		})
	}
}

// BenchmarkLogin is initial presence, with its probes and their answers, and the
// end of it.
func BenchmarkLogin(b *testing.B) {
	_, p := benchMux(b, 1000, 50)
	come, leave := mux.Make(mux.Head{Kind: mux.Presence}), mux.Make(mux.Head{Kind: mux.Presence, Type: "unavailable"})
	b.ReportAllocs()
	for b.Loop() {
		p.send(b, leave)
		p.send(b, come)
	}
}
