package disco_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"testing"
	"testing/synctest"

	melliumdisco "mellium.im/xmpp/disco"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// provider is an extension that has something to tell, some of it twice.
type provider struct{ err error }

func (provider) Name() string { return "provider" }

func (p provider) Register(r *mux.Registry) error {
	r.Entity("rooms.example.net", func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Done, nil })
	r.Disco(mux.AtHost, p.host)
	r.Disco(mux.AtSelf, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature("urn:example:own")
		return nil
	})
	r.Disco(mux.AtAccount, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature("urn:example:others")
		return nil
	})
	return nil
}

func (p provider) host(_ context.Context, q *mux.DiscoQuery) error {
	const known = "urn:example:known"
	server := q.Address
	switch {
	case p.err != nil:
		return p.err
	case q.Node == known:
		q.Found = true
		if !q.Items {
			q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "automation", Type: "command-list"})
		}
	case q.Node != "":
	case q.Items:
		rooms := mux.DiscoItem{JID: mux.MustParseAddress("rooms.example.net"), Name: "Rooms"}
		q.Children = append(q.Children, rooms, mux.DiscoItem{JID: server, Node: known}, rooms, mux.DiscoItem{Name: "nowhere"})
	default:
		q.Feature("urn:example:more", disco.NSInfo, "urn:example:more")
		q.Identities = append(q.Identities,
			mux.DiscoIdentity{Category: "server", Type: "im", Name: "Montecchi", Lang: "it"},
			mux.DiscoIdentity{Category: "server", Type: "im", Name: "another name"},
			mux.DiscoIdentity{Category: "pubsub", Type: "pep"})
		form := mux.Raw("<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:example:form</value></field>" +
			"<field var='size'><value>7</value></field></x>")
		q.Forms = append(q.Forms, form, form)
	}
	return nil
}

func extensions() []mux.Extension {
	return []mux.Extension{disco.New(&disco.Options{
		Name: "Montague",
		Contacts: &disco.Contacts{
			Abuse:  []string{"mailto:abuse@example.net", "xmpp:abuse@example.net"},
			Status: []string{"https://status.example.net/?a=1&b=2"},
		},
		Items: []mux.DiscoItem{{JID: mux.MustParseAddress("proxy.example.net"), Name: "A & B"}},
		MaySee: func(_ context.Context, e *mux.Event, account, from mux.Address) bool {
			return e.Account == account && account.Local() == "juliet" && from.Bare().Local() == "mercutio"
		},
	}), provider{}}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{Extensions: extensions}
	})
}

// TestDefaults: without options nobody sees somebody else's account, and there
// are no contacts.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, disco.New(nil))
		h.AddAccount("juliet@example.net")
		c := h.Connect(t, "romeo@example.net/orchard")
		c.Send("<iq type='get' to='juliet@example.net' id='1'><query xmlns='" + disco.NSInfo + "'/></iq>")
		c.Expect("<iq type='error' from='juliet@example.net' to='*' id='1'>{*}</iq>")
		c.Send("<iq type='get' to='example.net' id='2'><query xmlns='" + disco.NSInfo + "'/></iq>")
		c.Expect("<iq type='result' from='example.net' to='*' id='2'><query xmlns='" + disco.NSInfo + "'>" +
			"<identity category='server' type='im' name='Propolis'/><feature var='" + disco.NSCaps + "'/>" +
			"<feature var='" + disco.NSInfo + "'/><feature var='" + disco.NSItems + "'/></query></iq>")
	})
}

// TestFailingProvider: its error is the server's, and says nothing of why.
func TestFailingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, disco.New(nil), provider{errors.New("broken")})
		c := h.Connect(t, "romeo@example.net/orchard")
		for _, node := range []string{"", " node='x'"} {
			c.Send("<iq type='get' to='example.net' id='1'><query xmlns='" + disco.NSInfo + "'" + node + "/></iq>")
			c.Expect("<iq type='error' from='example.net' to='*' id='1'><error type='wait'>" +
				"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		}
		if p := caps(t, h, h.Connect(t, "romeo@example.net/garden").Stream); p != "" {
			t.Errorf("capabilities %s without an answer behind them", p)
		}
	})
}

// caps is what the stream feature says, empty for nothing.
func caps(t *testing.T, h *muxtest.Host, st *mux.Stream) string {
	t.Helper()
	for _, f := range h.Mux().Features() {
		if f.Name != "caps" {
			continue
		}
		if f.Needs != mux.Secure || len(f.Owns) > 0 {
			t.Errorf("the feature needs %b and owns %v", f.Needs, f.Owns)
		}
		p := f.List(t.Context(), st)
		if p == nil {
			return ""
		}
		c, err := mux.NewChild(p)
		if err != nil {
			t.Fatal(err)
		}
		return c.Raw()
	}
	t.Fatal("no stream feature")
	return ""
}

// TestCaps: SF-3, the hash of the stream feature is that of the answer to
// node#ver, as mellium works it out, and of the answer without a node.
func TestCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, extensions()...)
		c := h.Connect(t, "romeo@example.net/orchard")
		raw := caps(t, h, c.Stream)
		el, err := mux.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if el.Name().Space != disco.NSCaps || el.Name().Local != "c" || el.Attr("hash") != "sha-1" || el.Attr("node") != disco.DefaultNode {
			t.Errorf("feature %s", raw)
		}
		ver := el.Attr("ver")
		for _, node := range []string{"", disco.DefaultNode + "#" + ver} {
			q := "<query xmlns='" + disco.NSInfo + "'/>"
			if node != "" {
				q = "<query xmlns='" + disco.NSInfo + "' node='" + node + "'/>"
			}
			c.Send("<iq type='get' to='example.net' id='1'>" + q + "</iq>")
			reply := c.Recv()
			if reply.Type() != "result" || reply.Children()[0].Attr("node") != node {
				t.Fatalf("reply %s", reply.Append(nil, ""))
			}
			if got := hashOf(t, reply.Children()[0]); got != ver {
				t.Errorf("node %q: hash %s, want %s", node, got, ver)
			}
		}
		// Items of that node there are none, nor info of an old one.
		for _, q := range []string{"<query xmlns='" + disco.NSItems + "' node='" + disco.DefaultNode + "#" + ver + "'/>",
			"<query xmlns='" + disco.NSInfo + "' node='" + disco.DefaultNode + "#AAAA'/>"} {
			c.Send("<iq type='get' to='example.net' id='1'>" + q + "</iq>")
			c.Expect("<iq type='error' from='example.net' to='*' id='1'><error type='cancel'>" +
				"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		}
		if p := caps(t, h, h.DialDomain(t, mux.Server, "example.org").Stream); p != "" {
			t.Errorf("a server gets %s", p)
		}
	})
}

// TestCapsChange: another extension, another hash.
func TestCapsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, extensions()...)
		before := caps(t, h, h.Connect(t, "romeo@example.net/orchard").Stream)
		h.Restart(extensions()[0])
		after := caps(t, h, h.Connect(t, "romeo@example.net/orchard").Stream)
		if before == after || after == "" {
			t.Errorf("before %s, after %s", before, after)
		}
	})
}

// hashOf is mellium's opinion.
func hashOf(t *testing.T, c mux.Child) string {
	t.Helper()
	var i melliumdisco.Info
	if err := c.Decode(&i); err != nil {
		t.Fatal(err)
	}
	return i.Hash(sha1.New())
}

// TestContactsCheck: DI-6, all are URIs.
func TestContactsCheck(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, uri string }{
		{"no scheme", "abuse@example.net"},
		{"empty", ""},
		{"no URI", "https://[example.net/"},
		{"no character", "mailto:\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := mux.New(nil, nil, disco.New(&disco.Options{Contacts: &disco.Contacts{Sales: []string{tt.uri}}}))
			if !errors.Is(err, disco.ErrContact) {
				t.Errorf("error %v, want %v", err, disco.ErrContact)
			}
		})
	}
	if err := (*disco.Contacts)(nil).Check(); err != nil {
		t.Errorf("no contacts: %v", err)
	}
}
