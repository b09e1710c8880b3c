package main

import (
	"context"
	"encoding/xml"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/card"
	"github.com/propolis-im/propolis/pep/nick"
	"github.com/propolis-im/propolis/pep/omemo"
)

// eventing is a mellium session with a client of personal eventing, which announces what it
// watches as programs do: by the hash of its capabilities.
type eventing struct {
	*pep.Client
	t        *testing.T
	s        *xmpp.Session
	announce *caps.Announcer
	events   chan pep.Event
	told     chan []string // the features that the server was told of
}

func newEventing(t *testing.T, addr, full string, contacts ...string) *eventing {
	t.Helper()
	s, err := dialAccount(t, addr, full, password, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &eventing{t: t, s: s, announce: &caps.Announcer{Node: "https://client.example/" + full}, events: make(chan pep.Event, 100), told: make(chan []string, 100)}
	e.Client = pep.NewClient(s, &pep.ClientOptions{
		Timeout: patience,
		Contact: func(j jid.JID) bool { return slices.Contains(contacts, j.String()) },
		Changed: func() { e.present() },
	})
	t.Cleanup(e.Close)
	serveSession(t, s, xmppmux.New(stanza.NSClient, e.Handle(),
		xmppmux.IQFunc(stanza.GetIQ, xml.Name{Space: caps.NSInfo, Local: "query"}, mux.Handle(func(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
			query, ok := e.announce.Answer(s.Children()[0].Attr("node"))
			if !ok {
				return nil, stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
			}
			e.told <- e.Features()
			return query, nil
		}))))
	return e
}

// present announces what is watched now.
func (e *eventing) present() {
	if _, err := e.announce.Set(&caps.Info{Identities: []caps.Identity{{Category: "client", Type: "bot"}},
		Features: append(e.Features(), caps.NSInfo, "urn:x:"+e.s.LocalAddr().String())}); err != nil {
		e.t.Error(err)
	}
	_ = e.s.Send(context.Background(), stanza.Presence{}.Wrap(e.announce.Presence().TokenReader())) // what is missing is told
}

// ready waits until the server knows what is watched: it has asked, and the answer was
// before another request.
func (e *eventing) ready(ctx context.Context) {
	e.t.Helper()
	for told := []string(nil); !slices.Equal(told, e.Features()); {
		select {
		case told = <-e.told:
		case <-ctx.Done():
			e.t.Fatalf("the server knows of %q, not of %q", told, e.Features())
		}
	}
	if _, err := e.Nodes(ctx, jid.JID{}); err != nil {
		e.t.Fatal(err)
	}
}

// watch has the events of a node noted.
func (e *eventing) watch(node string, from pep.Senders) {
	e.t.Helper()
	if _, err := e.Watch(pep.Watch{Node: node, From: from, Handle: func(_ context.Context, ev pep.Event) { e.events <- ev }}); err != nil {
		e.t.Fatal(err)
	}
}

// expect waits for an event.
func (e *eventing) expect(from, node string, kind pep.EventKind, content string) pep.Event {
	e.t.Helper()
	select {
	case ev := <-e.events:
		if ev.From.String() != from || ev.Node != node || ev.Kind != kind || !strings.Contains(string(ev.Item.Payload), content) {
			e.t.Fatalf("told %+v, want %s of %s at %s with %s", ev, kind, node, from, content)
		}
		return ev
	case <-time.After(patience):
		e.t.Fatalf("nothing of %s of %s at %s; counted %+v", kind, node, from, e.Stats())
	}
	return pep.Event{}
}

// none fails if anything was told; what comes later is the next test's.
func (e *eventing) none() {
	e.t.Helper()
	select {
	case ev := <-e.events:
		e.t.Errorf("told %+v", ev)
	default:
	}
}

// befriend makes two accounts contacts.
func befriend(t *testing.T, a, b *eventing) {
	t.Helper()
	for _, typ := range []stanza.PresenceType{stanza.SubscribePresence, stanza.SubscribedPresence} {
		for from, to := range map[*eventing]*eventing{a: b, b: a} {
			if err := from.s.Send(t.Context(), stanza.Presence{Type: typ, To: to.s.LocalAddr().Bare()}.Wrap(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPEPClient: the client's functions on the whole server: three people, one of them with
// two devices, another a stranger.
func TestPEPClient(t *testing.T) {
	t.Parallel()
	const alice, bob, carol = "alice@example.org", "bob@example.org", "carol@example.org"
	data := filepath.Join(t.TempDir(), "data")
	srv := launch(t, data, "-domain", "example.org")
	for _, a := range []string{alice, bob, carol} {
		operate(t, data, password, "user", "add", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	phone, desk := newEventing(t, srv.addr, alice+"/phone", bob), newEventing(t, srv.addr, alice+"/desk", bob)
	friend, stranger := newEventing(t, srv.addr, bob+"/x", alice), newEventing(t, srv.addr, carol+"/x", alice)
	const private, public = "urn:x:private", "urn:x:public"
	desk.watch(private, pep.FromOwn)
	for _, e := range []*eventing{friend, stranger} {
		e.watch(private, pep.FromContacts)
		e.watch(nick.NS, pep.FromContacts)
	}
	befriend(t, phone, friend)
	for _, e := range []*eventing{desk, friend, stranger} {
		e.ready(ctx)
	}
	phone.present()

	s, err := phone.Discover(ctx)
	if must(err); !s.PEP || !s.PublishOptions || !s.PersistentItems || !s.ConfigNodeMax || !s.RSM || !s.MultiItems {
		t.Errorf("discovered %+v", s)
	}
	// The own devices are told, nobody else is.
	note := mux.Raw("<note xmlns='urn:x:note'>secret</note>")
	_, err = phone.Publish(ctx, private, "1", note, pep.Private())
	must(err)
	desk.expect(alice, private, pep.ItemPublished, "secret")
	must(nick.Set(ctx, phone.Client, "Alice & Co"))
	friend.expect(alice, nick.NS, pep.ItemPublished, "Alice &amp; Co")
	for p, err := range friend.Items(ctx, jid.MustParse(alice), private, pep.Query{}) {
		if !errors.Is(err, pep.ErrClosedNode) {
			t.Errorf("a contact reads %+v, error %v", p, err)
		}
	}
	must(phone.Retract(ctx, private, "1"))
	desk.expect(alice, private, pep.ItemRetracted, "")

	// A node that is another than it should be.
	_, err = phone.Publish(ctx, public, "1", note, nil)
	must(err)
	o := pep.Public()
	if _, err = phone.Publish(ctx, public, "2", note, o); !errors.Is(err, pep.ErrPreconditionNotMet) {
		t.Errorf("another configuration: %v", err)
	}
	o.Repair = pep.RepairOpening
	_, err = phone.Publish(ctx, public, "2", note, o)
	must(err)
	for i := range 5 {
		_, err = desk.Publish(ctx, public, "more"+string(rune('a'+i)), note, o)
		must(err)
	}
	var ids []string
	for p, err := range stranger.Items(ctx, jid.MustParse(alice), public, pep.Query{Page: 2}) {
		must(err)
		ids = append(ids, p.ID)
	}
	if want := []string{"1", "2", "morea", "moreb", "morec", "mored", "moree"}; !slices.Equal(ids, want) {
		t.Errorf("a stranger reads %q, want %q", ids, want)
	}
	// One who subscribes is told, contact or not.
	stranger.watch(public, pep.FromSubscribed)
	stranger.ready(ctx)
	_, err = stranger.Subscribe(ctx, jid.MustParse(alice), public)
	must(err)
	_, err = phone.Publish(ctx, public, "3", note, o)
	must(err)
	if ev := stranger.expect(alice, public, pep.ItemPublished, "secret"); ev.Item.ID != "3" || ev.Own {
		t.Errorf("told %+v", ev)
	}
	must(card.Update(ctx, phone.Client, nil, func(c *card.Card) error { return c.Set("fn", "text", "Alice") }))
	if c, err := card.Get(ctx, stranger.Client, jid.MustParse(alice)); err != nil || c.Get("fn", "text") != "Alice" {
		t.Errorf("card %+v, error %v", c, err)
	}

	// Two devices announce themselves at once, and anybody begins a session with them.
	bundle := &omemo.Bundle{SignedPreKeyID: 1, SignedPreKey: []byte{1}, Signature: []byte{2}, IdentityKey: []byte{3}, PreKeys: []omemo.PreKey{{ID: 1, Key: []byte{4}}}}
	lists := make(chan []omemo.Device, 100)
	announced := make(chan error, 2)
	for i, e := range []*eventing{phone, desk} {
		st, err := omemo.New(e.Client, uint32(i+1), &omemo.Options{Changed: func(_ context.Context, _ jid.JID, d []omemo.Device) { lists <- d }})
		must(err)
		_, err = st.Watch()
		must(err)
		e.ready(ctx)
		go func() { announced <- errors.Join(st.PublishBundle(ctx, bundle), st.Announce(ctx)) }()
	}
	must(errors.Join(<-announced, <-announced))
	reader, err := omemo.New(stranger.Client, 9, nil)
	must(err)
	for {
		var l []omemo.Device
		select {
		case l = <-lists:
		case <-ctx.Done():
			l, err := reader.Devices(context.WithoutCancel(ctx), jid.MustParse(alice))
			t.Fatalf("list %+v, error %v", l, err)
		}
		if len(l) == 2 {
			break
		}
	}
	for _, d := range []uint32{1, 2} {
		if b, err := reader.Bundle(ctx, jid.MustParse(alice), d); err != nil || len(b.PreKeys) != 1 {
			t.Errorf("bundle %+v, error %v", b, err)
		}
	}
	for _, e := range []*eventing{phone, desk, friend, stranger} {
		e.none()
	}
}
