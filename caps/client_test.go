package caps_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

// sent notes what is sent.
type sent struct {
	list []string
	err  error
}

func (s *sent) Send(_ context.Context, r xml.TokenReader) error {
	if s.err != nil {
		return s.err
	}
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	once := xmlstream.ReaderFunc(func() (xml.Token, error) { // as a session does
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); ok && start.Name.Space != "" {
			start.Attr = slices.DeleteFunc(start.Attr, func(a xml.Attr) bool { return a.Name.Local == "xmlns" })
			tok = start
		}
		return tok, err
	})
	if _, err := xmlstream.Copy(e, once); err != nil {
		return err
	}
	if err := e.Flush(); err != nil {
		return err
	}
	s.list = append(s.list, b.String())
	return nil
}

func (s *sent) take() (l []string) {
	l, s.list = s.list, nil
	return l
}

func tokens(s string) xml.TokenReader { return mux.Raw(s).TokenReader() }

func robot(features func() []string) caps.ClientOptions {
	return caps.ClientOptions{Node: "https://bot.example", Features: features, Info: caps.Info{
		Identities: []caps.Identity{{Category: "client", Type: "bot"}}, Features: []string{"urn:b", caps.NSInfo}}}
}

// TestClientSend: which stanzas get hashes, and in what place.
func TestClientSend(t *testing.T) {
	t.Parallel()
	const old = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='old='/><c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>old</hash></c>"
	for _, c := range []struct {
		in     string
		hashes bool
		keeps  string
	}{
		{"<presence/>", true, ""},
		{"<presence xmlns='jabber:client'><show>away</show></presence>", true, "<show"},
		{"<presence type=''><x xmlns='urn:x'><y/></x></presence>", true, "urn:x"},
		{"<presence to='room@example.org/me'/>", true, "room@"},
		{"<presence>" + old + "<status>s</status>" + old + "</presence>", true, "<status"},
		{"<presence><x xmlns='urn:x'><c xmlns='urn:xmpp:caps'>kept</c></x></presence>", true, "kept"},
		{"<presence type='unavailable'/>", false, "unavailable"},
		{"<presence type='subscribe' to='a@example.org'/>", false, "subscribe"},
		{"<message><presence/></message>", false, "<presence"},
		{"<iq type='get'/>", false, "get"},
	} {
		s := new(sent)
		if err := caps.NewClient(s, robot(nil)).Send(t.Context(), tokens(c.in+"<next/>")); err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got := s.take()
		if len(got) != 1 || strings.Contains(got[0], "old") || strings.Contains(got[0], "next") || !strings.Contains(got[0], c.keeps) {
			t.Errorf("%s: sent %q", c.in, got)
			continue
		}
		l := caps.Announced(parse(t, got[0]))
		if (len(l) > 0) != c.hashes {
			t.Errorf("%s: announces %+v", c.in, l)
		}
		want := &caps.Info{Identities: robot(nil).Info.Identities, Features: []string{"urn:b", caps.NSInfo, caps.NS115, caps.NS}}
		for _, h := range l {
			if err := caps.Verify(want, h); err != nil {
				t.Errorf("%s: %+v: %v", c.in, h, err)
			}
		}
	}
	for _, in := range []string{"", "text", "</a>", "<a>", "<!-- c --><a/>"} {
		s := new(sent)
		if err := caps.NewClient(s, robot(nil)).Send(t.Context(), tokens(in)); err == nil || len(s.list) > 0 {
			t.Errorf("%q: error %v, sent %q", in, err, s.list)
		}
	}
}

// TestClientUpdate: when the last presence is sent again.
func TestClientUpdate(t *testing.T) {
	t.Parallel()
	features := []string{"urn:1", "urn:1"} // twice does no harm
	s := new(sent)
	c := caps.NewClient(s, robot(func() []string { return features }))
	update := func(want ...string) {
		t.Helper()
		if err := c.Update(t.Context()); err != nil {
			t.Error(err)
		}
		got := s.take()
		if len(got) != len(want) || len(want) > 0 && !strings.Contains(got[0], want[0]) {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	send := func(p string) {
		t.Helper()
		if err := c.Send(t.Context(), tokens(p)); err != nil {
			t.Error(err)
		}
		s.take()
	}
	update() // nothing was said yet
	send("<presence><show>dnd</show></presence>")
	update()
	features = []string{"urn:2"}
	update("dnd")
	update()
	features = nil
	send("<presence to='room@example.org/me'/>") // has the news; the others do not
	update("dnd")
	features = []string{"urn:3"}
	s.err = io.ErrClosedPipe
	if err := c.Update(t.Context()); !errors.Is(err, s.err) {
		t.Error(err)
	}
	s.err = nil
	update("dnd") // what could not be sent is still due
	send("<presence type='unavailable' to='room@example.org/me'/>")
	features = []string{"urn:4"}
	update("dnd")
	send("<presence type='unavailable'/>")
	features = nil
	update()
	send("<presence/>")
	c.Use(s)
	features = []string{"urn:5"}
	update() // not in a session that has begun
}

// blocked sends nothing until it may.
type blocked struct{ may chan struct{} }

func (b blocked) Send(context.Context, xml.TokenReader) error { <-b.may; return nil }

// TestClientWaits: who waits for another to send waits no longer than it wants.
func TestClientWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := blocked{make(chan struct{})}
		c := caps.NewClient(b, robot(nil))
		go func() { _ = c.Send(t.Context(), tokens("<presence/>")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := errors.Join(c.Send(ctx, tokens("<iq/>")), c.Update(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(b.may)
	})
}

// TestClientWatches: a session of mellium with this and package pep's client: what it
// watches is known to the server, without anything else being done.
func TestClientWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := new(listener)
		contacts := roster.New(new(roster.Memory), nil)
		known := caps.New(nil, &caps.Options{Subscription: contacts.Subscription, Changed: told.changed})
		h := muxtest.New(t, &mux.Options{NoRecover: true}, contacts, presence.New(contacts, nil), known)
		const full = "juliet@example.net/bot"
		s := h.Session(full)
		var serving sync.WaitGroup
		defer serving.Wait()
		defer s.Conn().Close()
		var me *caps.Client
		events := pep.NewClient(s, &pep.ClientOptions{Changed: func() {
			if err := me.Update(context.Background()); err != nil {
				t.Error(err)
			}
		}})
		me = caps.NewClient(s, robot(events.Features))
		serving.Go(func() { _ = s.Serve(xmppmux.New(stanza.NSClient, events.Handle(), me.Handle())) }) // ends with the connection
		defer events.Close()

		watch := func(node string) func() {
			stop, err := events.Watch(pep.Watch{Node: node, From: pep.FromContacts, Handle: func(context.Context, pep.Event) {}})
			if err != nil {
				t.Fatal(err)
			}
			return stop
		}
		settle := func() {
			time.Sleep(time.Second) // the changes are gathered
			synctest.Wait()
		}
		stop := watch("urn:a")
		if err := me.Send(t.Context(), stanza.Presence{}.Wrap(nil)); err != nil {
			t.Fatal(err)
		}
		settle()
		told.want(t, "juliet: "+full+" wants [urn:a]")
		watch("urn:b")
		settle()
		told.want(t, "juliet: "+full+" wants [urn:a urn:b]")
		stop()
		settle()
		told.want(t, "juliet: "+full+" wants [urn:b]")

		// Another asks, for the hash before and for none.
		c := h.Connect(t, "juliet@example.net/2")
		ask := func(node string) string {
			c.Send("<iq type='get' id='q' to='" + full + "'><query xmlns='" + caps.NSInfo + "' node='" + node + "'/></iq>")
			settle()
			l := c.Arrived()
			c.Clear()
			return l[len(l)-1]
		}
		for _, q := range []struct{ node, has, not string }{
			{"https://bot.example#" + verFor(t, "urn:a+notify", "urn:b+notify"), "urn:a+notify", "error"},
			{"https://bot.example#" + verFor(t, "urn:b+notify"), "urn:b+notify", "urn:a+notify"},
			{"", "urn:b+notify", "urn:a+notify"},
			{"https://bot.example#x=", "item-not-found", "urn:b"},
		} {
			if got := ask(q.node); !strings.Contains(got, q.has) || strings.Contains(got, q.not) {
				t.Errorf("%q: %s", q.node, got)
			}
		}
	})
}

func verFor(t *testing.T, features ...string) string {
	t.Helper()
	ver, err := caps.Hash115(&caps.Info{Identities: robot(nil).Info.Identities,
		Features: slices.Concat(features, []string{"urn:b", caps.NSInfo, caps.NS115, caps.NS})}, "sha-1")
	if err != nil {
		t.Fatal(err)
	}
	return ver
}
