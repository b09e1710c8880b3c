package mds_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mds"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// TestDisco: the account says that the server assists, for whoever asks of it.
func TestDisco(t *testing.T) {
	t.Parallel()
	m, err := mux.New(nil, nil, extensions(new(pep.Memory), new(archive.Memory), nil)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		q := &mux.DiscoQuery{Scope: s}
		if err := m.Disco(context.Background(), q); err != nil || !slices.Contains(q.Features, mds.NSAssist) {
			t.Errorf("at %s: %q, %v", s, q.Features, err)
		}
	}
}

// refusing is a service that refuses.
type refusing struct{ asked []string }

func (r *refusing) PublishItem(_ context.Context, _ *mux.Event, node, id string, payload mux.Raw, options map[string][]string, counted bool) error {
	r.asked = append(r.asked, node, id, string(payload), options["access_model"][0])
	if counted {
		r.asked = append(r.asked, "counted")
	}
	return mux.ErrOverflow
}

func (*refusing) Ready(*mux.Event, string) bool { return true }

// TestRefused: when it cannot be published, the message goes on all the same, without
// the element; and messages without the element are left alone.
func TestRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nodes := new(refusing)
		h := muxtest.New(t, nil, mds.New(nodes, nil))
		c := h.Connect(t, "juliet@example.net/balcony")
		c.Send("<message to='Romeo@example.org/X'><body/><d:displayed xmlns:d='urn:xmpp:mds:displayed:0' xmlns:s='urn:xmpp:sid:0'><s:stanza-id id='1' by='juliet@example.net'/></d:displayed></message>",
			"<message to='a@example.org'><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>")
		h.ExpectRouted("example.org", "<message from='juliet@example.net/balcony' to='romeo@example.org/X'><body/></message>",
			"<message from='juliet@example.net/balcony' to='a@example.org'><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>")
		c.ExpectNone()
		if len(nodes.asked) != 4 || nodes.asked[0] != mds.NS || nodes.asked[1] != "romeo@example.org/X" || nodes.asked[3] != "whitelist" {
			t.Fatalf("published %q", nodes.asked)
		}
		if err := muxtest.Match("<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@example.net'/></displayed>", nodes.asked[2], nil); err != nil {
			t.Error(err)
		}
	})
}

// TestNoNodes: without a service there is nothing to publish at.
func TestNoNodes(t *testing.T) {
	t.Parallel()
	if _, err := mux.New(nil, nil, mds.New(nil, nil)); err == nil {
		t.Error("no error")
	}
}
