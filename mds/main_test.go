package mds_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mds"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

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

// extensions are those that transcripts are played on; force is what nodes have.
func extensions(nodes pep.Store, messages archive.Store, o *pep.Options) []mux.Extension {
	events := pep.New(nodes, o)
	d := disco.New(&disco.Options{
		MaySee: func(_ context.Context, e *mux.Event, _, from mux.Address) bool { return from.Bare() == e.Account },
		Waits:  events.Waits,
	})
	return []mux.Extension{mds.New(events, nil), archive.New(messages, nil), carbons.New(nil), events, capable{events}, d}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(t *testing.T) muxtest.Config {
		nodes, messages := new(pep.Memory), new(archive.Memory)
		o := new(pep.Options)
		if strings.HasSuffix(t.Name(), "open") {
			o.Force = func(string) map[string][]string { return map[string][]string{"access_model": {"open"}} }
		}
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions), NoRecover: true},
			Extensions: func() []mux.Extension { return extensions(nodes, messages, o) },
		}
	})
}
