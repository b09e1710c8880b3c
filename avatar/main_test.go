package avatar_test

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/vcard"
)

func addr(s string) mux.Address { return mux.MustParseAddress(s) }

func apply(t testing.TB, writes ...mux.Write) {
	t.Helper()
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// pictures of the tests.
var (
	png1 = []byte("\x89PNG\r\n\x1a\none")
	png2 = []byte("\x89PNG\r\n\x1a\ntwo")
	id1  = avatar.Hash(png1)
	id2  = avatar.Hash(png2)
)

func b64(image []byte) string { return base64.StdEncoding.EncodeToString(image) }

// nodes counts what is read of a store.
type nodes struct {
	pep.Store
	reads atomic.Int32
}

func (n *nodes) Load(ctx context.Context, account mux.Address) ([]pep.Node, error) {
	n.reads.Add(1)
	return n.Store.Load(ctx, account)
}

func (n *nodes) Index(ctx context.Context, account mux.Address, node string) ([]pep.Entry, error) {
	n.reads.Add(1)
	return n.Store.Index(ctx, account, node)
}

func (n *nodes) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	n.reads.Add(1)
	return n.Store.Items(ctx, account, node, ids)
}

// assembly is what the tests run on: juliet and romeo, who are contacts, and the nurse,
// who is none.
type assembly struct {
	nodes   *nodes
	cards   vcard.Store
	rosters *roster.Memory
	opt     func(o *avatar.Options)
	made    *avatar.Extension
	pep     *pep.Extension
	present *presence.Extension
}

func newAssembly(t testing.TB) *assembly {
	a := &assembly{nodes: &nodes{Store: new(pep.Memory)}, cards: new(vcard.Memory), rosters: new(roster.Memory), opt: func(*avatar.Options) {}}
	both := func(who, contact string) mux.Write {
		return a.rosters.Put(addr(who), roster.Item{JID: addr(contact), Subscription: roster.Both, Listed: true, Ver: 1})
	}
	apply(t, both("juliet@example.net", "romeo@example.net"), both("romeo@example.net", "juliet@example.net"))
	return a
}

func (a *assembly) extensions() []mux.Extension {
	r, b := roster.New(a.rosters, nil), blocking.New(new(blocking.Memory), nil)
	events := pep.New(a.nodes, &pep.Options{Subscription: r.Subscription, Contacts: r.Contacts, Groups: r.Groups, Blocked: b.Blocked,
		Waits: func(e *mux.Event) bool { return !r.Cached(e) || !b.Cached(e) }})
	var cards *vcard.Extension
	o := &avatar.Options{
		Nodes: events,
		Publish: func(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw) error {
			_, err := events.Publish(ctx, e, pep.Publication{Node: node, ID: id, Payload: payload, Defaults: map[string][]string{"access_model": {"open"}}})
			return err
		},
		Card:       func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return cards.Card(ctx, e) },
		CardCached: func(e *mux.Event) bool { return cards.Cached(e) },
		Resend:     func(ctx context.Context, e *mux.Event, s *mux.Session) { a.present.Resend(ctx, e, s) },
	}
	a.opt(o)
	a.made, a.pep = avatar.New(o), events
	events.OnChange(a.made.Changed)
	cards = vcard.New(a.cards, &vcard.Options{Keep: a.made.Keep, Show: a.made.Show, Waits: a.made.Waits})
	a.present = presence.New(r, &presence.Options{Current: a.made.Current})
	d := disco.New(&disco.Options{MaySee: func(context.Context, *mux.Event, mux.Address, mux.Address) bool { return true }, Waits: events.Waits})
	return []mux.Extension{b, r, a.present, capable{events}, events, d, cards, a.made}
}

// capable reads what the tests have in place of capabilities: <c xmlns='x:caps'>, with
// nodes between blanks.
type capable struct{ to pep.Interest }

func (capable) Name() string { return "capable" }

func (c capable) Register(r *mux.Registry) error {
	r.Observe(mux.FromPeer, mux.Presence, func(ctx context.Context, e *mux.Event) {
		if el, ok := e.Stanza.Child(xml.Name{Space: "x:caps", Local: "c"}); ok && e.Session != nil && e.Stanza.To().IsZero() {
			c.to.Wants(ctx, e, e.Session.JID(), strings.Fields(el.Text()))
		}
	})
	return nil
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(t *testing.T) muxtest.Config {
		a := newAssembly(t)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions), NoRecover: true},
			Extensions: a.extensions,
		}
	})
}
