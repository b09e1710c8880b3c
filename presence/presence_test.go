package presence_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

const (
	julietFull = "juliet@example.net/balcony"
	nurseFull  = "nurse@example.net/hall"
)

func unavailable(from, to string) string {
	return "<presence type='unavailable' from='" + from + "' to='" + to + "'/>"
}

// arrivals counts what has its turn at an account.
type arrivals map[string]int

func (arrivals) Name() string { return "arrivals" }

func (a arrivals) Register(r *mux.Registry) error {
	r.Guard(mux.ToAccount, mux.Presence, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		a[e.Account.String()]++
		return mux.Pass, nil
	})
	return nil
}

// TestOfflineContacts: PR-24, contacts of ours with nobody available cost no turn.
func TestOfflineContacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := make(arrivals)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(extensions(filled(t), nil), got)...)
		h.AddAccount("gone@example.net")
		nurse, juliet := h.Connect(t, nurseFull), h.Connect(t, julietFull)
		juliet.Send("<presence/>", "<presence><show>away</show></presence>")
		if len(got) > 0 {
			t.Errorf("turns: %v", got)
		}
		nurse.Send("<presence/>")
		if n := got["juliet@example.net"]; n != 2 || got["gone@example.net"] != 0 {
			t.Errorf("turns: %v", got)
		}
		nurse.Expect("<presence from='"+nurseFull+"' to='"+nurseFull+"'/>", "<presence from='"+julietFull+"' to='"+nurseFull+"'><show>away</show></presence>")
	})
}

// TestAllAtOnce: of two who come at the same time none misses the other, although
// neither is told of one who is not there.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	const n = 12
	store := new(roster.Memory)
	jid := func(i int) mux.Address { return addr(fmt.Sprintf("u%d@example.net", i)) }
	for i := range n {
		for k := range n {
			if i == k {
				continue
			}
			if err := store.Put(jid(i), roster.Item{JID: jid(k), Subscription: roster.Both, Listed: true, Ver: 1})(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(store, nil)...)
			var clients []*muxtest.Client
			for i := range n {
				clients = append(clients, h.Connect(t, jid(i).String()+"/x"))
			}
			for _, c := range clients {
				c.Write("<presence/>")
			}
			h.Settle()
			for i, c := range clients {
				all := strings.Join(c.Arrived(), "\n")
				for k := range n {
					if !strings.Contains(all, "from='"+jid(k).String()+"/x'") {
						t.Errorf("%d does not see %d", i, k)
					}
				}
			}
		})
	}
}

// TestUnreachable: PR-25, a server that cannot be reached is told to the client
// that asks after a contact there; that presence is lost is not.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(filled(t), nil)...)
		h.RefuseRoute("example.org", stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound})
		juliet := h.Connect(t, julietFull)
		juliet.Send("<presence/>")
		juliet.Expect("<presence from='" + julietFull + "' to='" + julietFull + "'/>")
		var from []string // in any order
		for range 2 {
			p := juliet.Recv()
			if p.Type() != "error" || !p.Has(xml.Name{Space: mux.NSClient, Local: "error"}) {
				t.Errorf("got %s", p.Append(nil, ""))
			}
			from = append(from, p.From().String())
		}
		if slices.Sort(from); !slices.Equal(from, []string{"both@example.org", "to@example.org"}) {
			t.Errorf("errors from %q", from)
		}
		juliet.ExpectNone()
		juliet.Send("<presence><show>away</show></presence>")
		juliet.Clear()
		juliet.ExpectNone()
	})
}

// TestSelfHeal: SUB-28, who believes to be subscribed and is not learns it from
// the answer to a probe.
func TestSelfHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := filled(t)
		if err := store.Put(addr("romeo@example.net"), roster.Item{JID: addr("juliet@example.net"), Subscription: roster.To, Listed: true, Ver: 1})(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(store, nil)...)
		juliet, romeo := h.Connect(t, julietFull), h.Connect(t, "romeo@example.net/orchard")
		juliet.Send("<presence/>")
		juliet.Clear()
		romeo.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>", "<presence/>")
		romeo.Expect("<iq type='result' from='romeo@example.net' to='romeo@example.net/orchard' id='1'>{*}</iq>", "<presence from='romeo@example.net/orchard' to='romeo@example.net/orchard'/>",
			"<presence type='unsubscribed' from='juliet@example.net' to='romeo@example.net'/>",
			"<iq type='set' to='romeo@example.net/orchard' id='{*}'><query xmlns='jabber:iq:roster' ver='{*}'><item jid='juliet@example.net' subscription='none'/></query></iq>")
		juliet.ExpectNone()
	})
}

// blocks refuses presence to one address.
type blocks string

func (blocks) Name() string { return "blocks" }

func (b blocks) Register(r *mux.Registry) error {
	r.Guard(mux.FromAccount, mux.Presence, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Item.Recipient().Bare().String() == string(b) {
			return mux.Done, nil
		}
		return mux.Pass, nil
	})
	return nil
}

// TestBlocked: PR-10, a guard keeps presence from one contact.
func TestBlocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(extensions(filled(t), nil), blocks("both@example.org"))...)
		juliet := h.Connect(t, julietFull)
		juliet.Send("<presence/>")
		juliet.Close()
		if got := h.Routed("example.org"); len(got) != 3 || strings.Contains(strings.Join(got, ""), "both@") {
			t.Errorf("routed %q", got)
		}
	})
}

// broken is a store that cannot be read.
type broken struct{ roster.Memory }

func (*broken) Load(context.Context, mux.Address) (roster.Roster, error) {
	return roster.Roster{}, errors.New("on purpose")
}

// TestNoStore: without a roster the account's own sessions still see each other.
func TestNoStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(new(broken), nil)...)
		juliet, chamber := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/chamber")
		juliet.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>", "<presence/>")
		juliet.Expect("<iq type='error' from='juliet@example.net' to='"+julietFull+"' id='1'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
			"<presence from='"+julietFull+"' to='"+julietFull+"'/>")
		chamber.Send("<presence/>")
		juliet.Expect("<presence from='juliet@example.net/chamber' to='" + julietFull + "'/>")
		chamber.Close()
		juliet.Expect(unavailable("juliet@example.net/chamber", julietFull))
		juliet.ExpectNone()
	})
}

// TestOrder: PR-10, CORE-1, presence and messages to one domain stay in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: c, Sessions: new(mux.MemorySessions)}, extensions(filled(t), nil)...)
		juliet := h.Connect(t, julietFull)
		c.Hold()
		juliet.Send("<message to='from@example.org' id='m1'/>", "<presence id='p'/>", "<message to='from@example.org' id='m2'/>")
		c.Release()
		var ids []string
		for _, el := range h.Routed("example.org") {
			s, err := mux.Parse([]byte(el))
			if err != nil {
				t.Fatal(err)
			}
			if s.To().Local() == "from" {
				ids = append(ids, s.ID())
			}
		}
		if want := []string{"m1", "p", "m2"}; !slices.Equal(ids, want) {
			t.Errorf("order %q, want %q", ids, want)
		}
	})
}
