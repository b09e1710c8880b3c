package bookmarks_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/private"
)

var juliet = mux.MustParseAddress("juliet@example.net")

// capable reads what the tests have in place of capabilities: <c xmlns='x:caps'>, with
// nodes between blanks.
type capable struct{ to pep.Interest }

func (capable) Name() string { return "capable" }

func (c capable) Register(r *mux.Registry) error {
	r.Observe(mux.FromPeer, mux.Presence, func(ctx context.Context, e *mux.Event) {
		if el, ok := e.Stanza.Child(xml.Name{Space: "x:caps", Local: "c"}); ok && e.Stanza.To().IsZero() {
			c.to.Wants(ctx, e, e.Session.JID(), strings.Fields(el.Text()))
		}
	})
	return nil
}

// assembly is what tests run on.
type assembly struct {
	nodes   pep.Store
	private *private.Memory
	opt     pep.Options
	marks   bookmarks.Options
	events  *pep.Extension
}

func newAssembly() *assembly { return &assembly{nodes: new(pep.Memory), private: new(private.Memory)} }

func (a *assembly) extensions() []mux.Extension {
	var marks *bookmarks.Extension
	o := a.opt
	o.Elsewhere = func(node string) *pep.Keeper {
		switch node {
		case bookmarks.NSLegacy:
			return &pep.Keeper{ID: bookmarks.Current,
				Get: func(ctx context.Context, e *mux.Event) (mux.Raw, time.Time, error) { return marks.Node(ctx, e) },
				Set: func(ctx context.Context, e *mux.Event, list mux.Raw) error { return marks.SetNode(ctx, e, list) }}
		case bookmarks.NSOld:
			return &pep.Keeper{Set: func(ctx context.Context, e *mux.Event, p mux.Raw) error { return marks.Refuse(ctx, e, p) }}
		}
		return nil
	}
	o.Loaded = func(ctx context.Context, e *mux.Event) error { return marks.Loaded(ctx, e) }
	x := pep.New(a.nodes, &o)
	personal := private.New(a.private, &private.Options{Elsewhere: func(name xml.Name) *private.Keeper {
		if name != bookmarks.Name {
			return nil
		}
		return &private.Keeper{Get: marks.Private, Set: marks.SetPrivate}
	}})
	marks = bookmarks.New(x, personal, &a.marks)
	x.OnChange(marks.Changed)
	a.events = x
	d := disco.New(&disco.Options{
		MaySee: func(ctx context.Context, e *mux.Event, _, from mux.Address) bool { return from.Bare() == e.Account },
		Waits:  x.Waits,
	})
	return []mux.Extension{x, capable{x}, personal, marks, d}
}

func apply(t testing.TB, writes ...mux.Write) {
	t.Helper()
	for _, w := range writes {
		if err := w(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(t *testing.T) muxtest.Config {
		a := newAssembly()
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions), NoRecover: true},
			Extensions: a.extensions,
		}
	})
}
