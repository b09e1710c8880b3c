package pep_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
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

// contacts are the rosters of the tests: juliet's, and the other side of it.
func contacts(t testing.TB) *roster.Memory {
	store := new(roster.Memory)
	other := map[roster.Subscription]roster.Subscription{roster.Both: roster.Both, roster.From: roster.To, roster.To: roster.From}
	for _, i := range []struct {
		contact string
		sub     roster.Subscription
		groups  []string
	}{
		{"romeo@example.net", roster.Both, []string{"Lovers"}},
		{"nurse@example.net", roster.Both, []string{"Family", "Servants"}},
		{"paris@example.net", roster.From, nil},
		{"tybalt@example.net", roster.To, []string{"Family"}},
		{"benvolio@example.org", roster.Both, nil},
		{"mercutio@example.org", roster.From, nil},
		{"rosaline@example.org", roster.To, nil},
	} {
		apply(t, store.Put(addr("juliet@example.net"), roster.Item{JID: addr(i.contact), Subscription: i.sub, Groups: i.groups, Listed: true, Ver: 1}))
		if strings.HasSuffix(i.contact, ".net") {
			apply(t, store.Put(addr(i.contact), roster.Item{JID: addr("juliet@example.net"), Subscription: other[i.sub], Listed: true, Ver: 1}))
		}
	}
	return store
}

func rosterItem(contact string) roster.Item {
	return roster.Item{JID: addr(contact), Subscription: roster.Both, Listed: true, Ver: 1}
}

// capable reads what the tests have in place of capabilities: <c xmlns='x:caps'>, with
// nodes between blanks.
type capable struct{ to pep.Interest }

var (
	capsName = xml.Name{Space: "x:caps", Local: "c"}
)

func (capable) Name() string { return "capable" }

func (c capable) Register(r *mux.Registry) error {
	r.Observe(mux.FromPeer, mux.Presence, func(ctx context.Context, e *mux.Event) {
		if e.Session != nil && e.Stanza.To().IsZero() {
			c.tell(ctx, e, e.Session.JID())
		}
	})
	r.Guard(mux.ToAccount, mux.Presence, func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
		if from := e.Stanza.From(); from.Bare() != e.Account {
			c.tell(ctx, e, from)
		}
		return mux.Pass, nil
	})
	return nil
}

func (c capable) tell(ctx context.Context, e *mux.Event, who mux.Address) {
	el, ok := e.Stanza.Child(capsName)
	switch {
	case e.Stanza.Type() == "unavailable" || e.Stanza.Type() == "error":
		c.to.Wants(ctx, e, who, nil)
	case e.Stanza.Type() == "" && ok:
		c.to.Wants(ctx, e, who, strings.Fields(el.Text()))
	}
}

// assembly is what transcripts are played on.
type assembly struct {
	store   pep.Store
	blocked *blocking.Memory
	rosters roster.Store
	opt     pep.Options
	made    *pep.Extension
}

func (a *assembly) extensions() []mux.Extension {
	r, b := roster.New(a.rosters, nil), blocking.New(a.blocked, nil)
	o := a.opt
	o.Subscription, o.Contacts, o.Groups = r.Subscription, r.Contacts, r.Groups
	if o.Blocked == nil {
		o.Blocked = b.Blocked
	}
	o.Waits = func(e *mux.Event) bool { return !r.Cached(e) || !b.Cached(e) }
	o.Blockers = a.blocked.Blockers
	x := pep.New(a.store, &o)
	a.made = x
	d := disco.New(&disco.Options{
		MaySee: func(ctx context.Context, e *mux.Event, _, from mux.Address) bool {
			sees, _ := r.Subscription(ctx, e, from)
			return sees || x.Visible(ctx, e, from)
		},
		Waits: x.Waits,
	})
	return []mux.Extension{b, r, presence.New(r, nil), x, capable{x}, d}
}

func newAssembly(t testing.TB) *assembly {
	return &assembly{store: new(pep.Memory), blocked: new(blocking.Memory), rosters: contacts(t)}
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
