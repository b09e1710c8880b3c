package pep_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

var (
	nobody = jid.JID{}
	juliet = jid.MustParse("juliet@example.net")
)

// note is a payload.
func note(text string) mux.Raw { return mux.Raw("<note xmlns='urn:x:note'>" + text + "</note>") }

// collect is what an iterator of items gives, as ID and payload.
func collect(t testing.TB, c *pep.Client, of jid.JID, node string, q pep.Query) (ids []string, err error) {
	t.Helper()
	for p, err := range c.Items(t.Context(), of, node, q) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// TestClientPublish: C-2, C-5, C-6 on the service itself.
func TestClientPublish(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		ctx := t.Context()
		c := s.client(julietFull, nil)
		made, err := c.Publish(ctx, "n", "", note("one"), nil)
		if err != nil || made == "" {
			t.Fatalf("published %q, error %v", made, err)
		}
		o := &pep.NodeOptions{Access: pep.AccessOpen, Persist: pep.Yes, MaxItems: pep.Max, SendLast: pep.LastNever, NotifyRetract: pep.No,
			Fields: pep.Fields{"title": {"Ti & <le>"}}}
		for i := range 7 {
			id := fmt.Sprint("i", i)
			if got, err := c.Publish(ctx, "many", id, note("a & <b/> "+id), o); err == nil || got != "" {
				t.Fatalf("malformed: published %q, error %v", got, err)
			}
			if got, err := c.Publish(ctx, "many", id, note(id), o); err != nil || got != id {
				t.Fatalf("published %q, error %v", got, err)
			}
		}
		got, err := c.GetConfig(ctx, "many")
		if err != nil || got.Get("access_model") != "open" || got.Get("max_items") != "max" || got.Get("title") != "Ti & <le>" ||
			got.Bool("notify_retract") || !got.Bool("persist_items") || got.Get("send_last_published_item") != "never" {
			t.Errorf("configuration %v, error %v", got, err)
		}
		all := []string{"i0", "i1", "i2", "i3", "i4", "i5", "i6"}
		back := slices.Clone(all)
		slices.Reverse(back)
		for _, tt := range []struct {
			name string
			q    pep.Query
			want []string
		}{
			{"all", pep.Query{}, all},
			{"pages", pep.Query{Page: 3}, all},
			{"pages that fit", pep.Query{Page: 7}, all},
			{"single ones", pep.Query{Page: 1}, all},
			{"at once", pep.Query{Page: -1}, all},
			{"backward", pep.Query{Page: 3, Backward: true}, back},
			{"backward at once", pep.Query{Page: -1, Backward: true}, back},
			{"newest", pep.Query{Newest: 2}, all[5:]},
			{"ids", pep.Query{IDs: []string{"i4", "none", "i1"}}, []string{"i4", "i1"}},
		} {
			if got, err := collect(t, c, nobody, "many", tt.q); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %v, error %v", tt.name, got, err)
			}
		}
		var v struct {
			XMLName xml.Name `xml:"urn:x:note note"`
			Text    string   `xml:",chardata"`
		}
		if p, err := c.Newest(ctx, nobody, "many"); err != nil || p.ID != "i6" || p.Name() != (xml.Name{Space: "urn:x:note", Local: "note"}) || p.Decode(&v) != nil || v.Text != "i6" {
			t.Errorf("newest %+v, error %v", p, err)
		}
		if p, err := c.Item(ctx, juliet, "many", "i2"); err != nil || p.Payload != note("i2") {
			t.Errorf("item %+v, error %v", p, err)
		}
		if p, err := c.Item(ctx, nobody, "many", "none"); !errors.Is(err, pep.ErrNoItem) || p.Decode(&v) != pep.ErrNoItem {
			t.Errorf("no item: %+v, error %v", p, err)
		}
		if err := c.Retract(ctx, "many", "i2"); err != nil {
			t.Error(err)
		}
		if err := c.RetractSilently(ctx, "many", "i3"); err != nil {
			t.Error(err)
		}
		if err := c.Retract(ctx, "many", "i2"); !errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
			t.Errorf("again: %v", err)
		}
		if got, _ := collect(t, c, nobody, "many", pep.Query{}); !slices.Equal(got, []string{"i0", "i1", "i4", "i5", "i6"}) {
			t.Errorf("then %v", got)
		}
		if err := c.Purge(ctx, "many"); err != nil {
			t.Error(err)
		}
		if got, err := collect(t, c, nobody, "many", pep.Query{}); err != nil || got != nil {
			t.Errorf("purged: %v, error %v", got, err)
		}
		if err := c.DeleteNode(ctx, "many"); err != nil {
			t.Error(err)
		}
		if _, err := collect(t, c, nobody, "many", pep.Query{}); !errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
			t.Errorf("deleted: error %v", err)
		}
		if got, err := collect(t, c, nobody, "many", pep.Query{Missing: true}); err != nil || got != nil {
			t.Errorf("deleted, as empty: %v, error %v", got, err)
		}
	})
}

// TestClientPayload: what is published comes out as it was, and what is no single element
// is not sent.
func TestClientPayload(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		c := s.client(julietFull, nil)
		for _, raw := range []mux.Raw{
			"<a xmlns='urn:x'/>",
			"<a xmlns='urn:x' b='&quot;&apos;&lt;&#10;é'>t&amp;x<b/> <c xmlns='urn:y'>z</c></a>",
			"<a xmlns='urn:x' xmlns:p='urn:p' p:q='1' xml:lang='de'><p:b p:c='2'/></a>",
			"<message xmlns='jabber:client'><body>x</body></message>",
			"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish/></pubsub>",
		} {
			if _, err := c.Publish(t.Context(), "n", "1", raw, nil); err != nil {
				t.Errorf("%s: %v", raw, err)
				continue
			}
			p, err := c.Item(t.Context(), nobody, "n", "1")
			if err != nil || !sameXML(t, string(p.Payload), string(raw)) {
				t.Errorf("%s came out as %s, error %v", raw, p.Payload, err)
			}
		}
		for _, raw := range []mux.Raw{"", "text", "<a xmlns='urn:x'/><b xmlns='urn:x'/>", "<a xmlns='urn:x'>", "<a xmlns='urn:x'>\x01</a>", "<!-- x --><a xmlns='urn:x'/>"} {
			if _, err := c.Publish(t.Context(), "n", "1", raw, nil); !errors.Is(err, pep.ErrPayload) {
				t.Errorf("%q: error %v", raw, err)
			}
		}
		// Names may be what they like, but what XML has no form for breaks nothing.
		odd := "a/b@c ü <&'\">"
		if got, err := c.Publish(t.Context(), odd, odd, note("x"), nil); err != nil || got != odd {
			t.Errorf("odd names: %q, error %v", got, err)
		}
		if p, err := c.Item(t.Context(), nobody, odd, odd); err != nil || p.ID != odd {
			t.Errorf("odd names: %+v, error %v", p, err)
		}
		if _, err := c.Publish(t.Context(), "a\x01", "1", note("x"), nil); err == nil {
			t.Error("a node with a control character")
		}
		if _, err := c.Publish(t.Context(), "n", "1", note("x"), nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// sameXML compares elements as trees of names, attributes and texts.
func sameXML(t testing.TB, a, b string) bool {
	t.Helper()
	read := func(s string) (l []xml.Token) {
		d := xml.NewDecoder(strings.NewReader(s))
		for {
			tok, err := d.Token()
			if err != nil {
				return l
			}
			if start, ok := tok.(xml.StartElement); ok {
				start.Attr = slices.DeleteFunc(start.Attr, func(a xml.Attr) bool { return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" })
				slices.SortFunc(start.Attr, func(a, b xml.Attr) int { return strings.Compare(a.Name.Local, b.Name.Local) })
				if len(start.Attr) == 0 {
					start.Attr = nil
				}
				tok = start
			}
			l = append(l, xml.CopyToken(tok))
		}
	}
	return reflect.DeepEqual(fmt.Sprint(read(a)), fmt.Sprint(read(b)))
}

// TestClientNodes: C-6: nodes, what is told of them, their configuration.
func TestClientNodes(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		ctx := t.Context()
		c, romeo := s.client(julietFull, nil), s.client("romeo@example.net/orchard", nil)
		if node, err := c.Create(ctx, "", nil); err != nil || node == "" || c.DeleteNode(ctx, node) != nil {
			t.Errorf("created %q, error %v", node, err)
		}
		if node, err := c.Create(ctx, "closed", pep.Private()); err != nil || node != "closed" {
			t.Errorf("created %q, error %v", node, err)
		}
		if _, err := c.Create(ctx, "closed", nil); !errors.Is(err, stanza.Error{Condition: stanza.Conflict}) {
			t.Errorf("again: %v", err)
		}
		if _, err := c.Create(ctx, "titled", &pep.NodeOptions{Fields: pep.Fields{"title": {"T"}}}); err != nil {
			t.Error(err)
		}
		if l, err := c.Nodes(ctx, nobody); err != nil || !reflect.DeepEqual(l, []pep.Listing{{Node: "closed"}, {Node: "titled", Name: "T"}}) {
			t.Errorf("own nodes %v, error %v", l, err)
		}
		if l, err := romeo.Nodes(ctx, juliet); err != nil || !reflect.DeepEqual(l, []pep.Listing{{Node: "titled", Name: "T"}}) {
			t.Errorf("romeo sees %v, error %v", l, err)
		}
		if n, err := romeo.NodeInfo(ctx, juliet, "titled"); err != nil || n.Type != "leaf" || n.Name != "T" || n.Fields.Get("access_model") != "presence" || n.Fields.Get("owner") != "juliet@example.net" {
			t.Errorf("romeo is told %+v, error %v", n, err)
		}
		if _, err := romeo.NodeInfo(ctx, juliet, "closed"); !errors.Is(err, pep.ErrClosedNode) || !errors.Is(err, stanza.Error{Condition: stanza.NotAllowed}) {
			t.Errorf("a closed one: %v", err)
		}
		if err := c.SetConfig(ctx, "titled", &pep.NodeOptions{MaxItems: 5, Groups: []string{"A", "B"}, Notify: pep.No}); err != nil {
			t.Error(err)
		}
		got, err := c.GetConfig(ctx, "titled")
		if err != nil || got.Get("max_items") != "5" || got.Get("title") != "T" || !slices.Equal(got["roster_groups_allowed"], []string{"A", "B"}) || got.Bool("deliver_notifications") {
			t.Errorf("configuration %v, error %v", got, err)
		}
		if _, err := c.GetConfig(ctx, "none"); !errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
			t.Errorf("no node: %v", err)
		}
	})
}

// TestClientSubscriptions: C-6.
func TestClientSubscriptions(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		ctx := t.Context()
		c, paris := s.client(julietFull, nil), s.client("paris@example.net/x", nil)
		if _, err := c.Publish(ctx, "open", "1", note("x"), pep.Public()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(ctx, "asked", &pep.NodeOptions{Access: pep.AccessAuthorize}); err != nil {
			t.Fatal(err)
		}
		own := jid.MustParse("paris@example.net")
		if sub, err := paris.Subscribe(ctx, juliet, "open"); err != nil || sub.State != "subscribed" || !sub.JID.Equal(own) || sub.Node != "open" {
			t.Errorf("subscribed %+v, error %v", sub, err)
		}
		if sub, err := paris.Subscribe(ctx, juliet, "asked"); err != nil || sub.State != "pending" {
			t.Errorf("subscribed %+v, error %v", sub, err)
		}
		if _, err := paris.Subscribe(ctx, juliet, "asked"); !errors.Is(err, pep.ErrPendingSubscription) {
			t.Errorf("again: %v", err)
		}
		if l, err := paris.Subscriptions(ctx, juliet, ""); err != nil || len(l) != 2 || l[0].Node != "asked" || l[1].State != "subscribed" {
			t.Errorf("subscriptions %+v, error %v", l, err)
		}
		if l, err := c.Subscribers(ctx, "open"); err != nil || len(l) != 1 || !l[0].JID.Equal(own) || l[0].Node != "open" {
			t.Errorf("subscribers %+v, error %v", l, err)
		}
		if l, err := c.Affiliations(ctx, nobody, ""); err != nil || len(l) != 2 || l[0].Affiliation != "owner" {
			t.Errorf("affiliations %+v, error %v", l, err)
		}
		if l, err := c.Affiliates(ctx, "open"); err != nil || len(l) != 1 || l[0].Affiliation != "owner" || !l[0].JID.Equal(juliet) {
			t.Errorf("affiliates %+v, error %v", l, err)
		}
		if err := paris.Unsubscribe(ctx, juliet, "open"); err != nil {
			t.Error(err)
		}
		if err := paris.Unsubscribe(ctx, juliet, "open"); !errors.Is(err, pep.ErrNotSubscribed) {
			t.Errorf("again: %v", err)
		}
		if l, err := paris.Subscriptions(ctx, juliet, "open"); err != nil || len(l) != 0 {
			t.Errorf("subscriptions %+v, error %v", l, err)
		}
	})
}

// TestClientRepair: C-3: one round, on request only, and openings only if they are meant.
func TestClientRepair(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		ctx := t.Context()
		c := s.client(julietFull, nil)
		if _, err := c.Publish(ctx, "n", "1", note("x"), nil); err != nil {
			t.Fatal(err)
		}
		open := func(r pep.Repair) *pep.NodeOptions {
			o := pep.Public()
			o.Repair = r
			return o
		}
		for _, r := range []pep.Repair{pep.NoRepair, pep.RepairNode} {
			if _, err := c.Publish(ctx, "n", "1", note("y"), open(r)); !errors.Is(err, pep.ErrPreconditionNotMet) || !errors.Is(err, stanza.Error{Condition: stanza.Conflict}) {
				t.Errorf("repair %d: error %v", r, err)
			}
			if f, _ := c.GetConfig(ctx, "n"); f.Get("access_model") != "presence" || f.Get("max_items") != "1" {
				t.Errorf("repair %d: configuration %v", r, f)
			}
		}
		if _, err := c.Publish(ctx, "n", "1", note("y"), open(pep.RepairOpening)); err != nil {
			t.Error(err)
		}
		if f, _ := c.GetConfig(ctx, "n"); f.Get("access_model") != "open" || f.Get("max_items") != "max" {
			t.Errorf("configuration %v", f)
		}
		private := pep.Private()
		private.Repair = pep.RepairNode
		if _, err := c.Publish(ctx, "n", "1", note("z"), private); err != nil {
			t.Error(err)
		}
		if f, _ := c.GetConfig(ctx, "n"); f.Get("access_model") != "whitelist" {
			t.Errorf("configuration %v", f)
		}
		if p, err := c.Newest(ctx, nobody, "n"); err != nil || p.Payload != note("z") {
			t.Errorf("item %+v, error %v", p, err)
		}
	})
}

const infoOf = "<query xmlns='http://jabber.org/protocol/disco#info'>"

func features(names ...string) string {
	b := infoOf
	for _, n := range names {
		b += "<feature var='" + n + "'/>"
	}
	return b + "</query>"
}

const ps = "http://jabber.org/protocol/pubsub#"

// TestClientDiscover: C-1: once, at the account, and at the domain for what is left open.
func TestClientDiscover(t *testing.T) {
	t.Parallel()
	pepIdentity := "<identity category='pubsub' type='pep'/>"
	whole := strings.Replace(features(ps+"publish-options", ps+"persistent-items", ps+"config-node-max", ps+"rsm", ps+"multi-items", "urn:xmpp:pep-vcard-conversion:0",
		"urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks:1#compat-pep", "urn:xmpp:bookmarks-conversion:0", "urn:xmpp:mds:server-assist:0"), infoOf, infoOf+pepIdentity, 1)
	none := "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	all := pep.Support{PEP: true, PublishOptions: true, PersistentItems: true, MultiItems: true, ConfigNodeMax: true, RSM: true, AvatarConversion: true,
		BookmarksCompat: true, BookmarksCompatPEP: true, BookmarksConversion: true, DisplayedAssist: true}
	with := func(s pep.Support, account, domain bool) pep.Support {
		s.Account, s.Domain = account, domain
		return s
	}
	for _, tt := range []struct {
		name, account, domain string
		want                  pep.Support
		asked                 []string
	}{
		{"account", whole, none, with(all, true, false), []string{"juliet@example.net"}},
		{"domain only", none, whole, with(all, false, true), []string{"juliet@example.net", "example.net"}},
		{"the rest at the domain", infoOf + pepIdentity + "</query>", features(ps + "publish-options"), pep.Support{Account: true, Domain: true, PEP: true, PublishOptions: true}, []string{"juliet@example.net", "example.net"}},
		{"nothing", features(), features(), pep.Support{Account: true, Domain: true}, []string{"juliet@example.net", "example.net"}},
		{"the domain refuses", features(), none, pep.Support{Account: true}, []string{"juliet@example.net", "example.net"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, func(q clientIQ) string {
				if q.To == "example.net" {
					return tt.domain
				}
				return tt.account
			})
			c := p.client(nil)
			for range 2 {
				got, err := c.Discover(t.Context())
				got.Features = nil
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%s: %+v, error %v", tt.name, got, err)
				}
			}
			var asked []string
			for _, q := range p.requests() {
				asked = append(asked, q.To)
			}
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("%s: asked %v", tt.name, asked)
			}
			c.Use(p.s)
			if _, err := c.Discover(t.Context()); err != nil || len(p.requests()) != len(tt.asked) {
				t.Errorf("%s: not asked anew in another session, error %v", tt.name, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, func(clientIQ) string { return none }).client(nil)
		if _, err := c.Discover(t.Context()); !errors.Is(err, stanza.Error{Condition: stanza.ServiceUnavailable}) {
			t.Errorf("both refuse: %v", err)
		}
	})
}

// TestClientNotPrivate: PRV-2: nothing private goes to a server that would show it.
func TestClientNotPrivate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, func(q clientIQ) string {
			if strings.Contains(q.Inner, "disco#info") {
				return features(ps + "publish")
			}
			return "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>"
		})
		c := p.client(nil)
		for _, access := range []string{pep.AccessWhitelist, pep.AccessRoster, pep.AccessAuthorize, "unknown"} {
			if _, err := c.Publish(t.Context(), "n", "1", note("secret"), &pep.NodeOptions{Access: access}); !errors.Is(err, pep.ErrNotPrivate) {
				t.Errorf("%s: error %v", access, err)
			}
		}
		for _, q := range p.requests() {
			if strings.Contains(q.Inner, "secret") {
				t.Errorf("sent %s", q.Inner)
			}
		}
		if id, err := c.Publish(t.Context(), "n", "1", note("x"), pep.Public()); err != nil || id != "1" {
			t.Errorf("a public one: %q, error %v", id, err)
		}
	})
}

// TestClientAgain: C-23: a publication that may have been lost is made again under its ID
// without harm.
func TestClientAgain(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		c := s.client(julietFull, nil)
		for range 3 {
			if _, err := c.Publish(t.Context(), "n", "same", note("x"), &pep.NodeOptions{MaxItems: pep.Max}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := collect(t, c, nobody, "n", pep.Query{}); err != nil || !slices.Equal(got, []string{"same"}) {
			t.Errorf("items %v, error %v", got, err)
		}
	})
}

// TestClientReadsOn: C-5: while the application is at an item the session is read, and
// its own requests are answered.
func TestClientReadsOn(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		c := s.client(julietFull, nil)
		for i := range 6 {
			if _, err := c.Publish(t.Context(), "n", fmt.Sprint(i), note("x"), &pep.NodeOptions{MaxItems: pep.Max}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for p, err := range c.Items(t.Context(), nobody, "n", pep.Query{Page: 3}) {
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Retract(t.Context(), "n", p.ID); err != nil { // places in pages survive that (ITM-6)
				t.Fatal(err)
			}
			n++
		}
		if n != 6 {
			t.Errorf("%d items", n)
		}
	})
}
