package bookmarks_test

import (
	"encoding/xml"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func notify(inner string) mux.Child {
	return mux.RawChild(xml.Name{Space: bookmarks.NSNotify, Local: "notify"}, "<notify xmlns='urn:xmpp:notification-settings:1'>"+inner+"</notify>")
}

var (
	anybody = bookmarks.Identity{}
	client  = bookmarks.Identity{Category: "client"}
	pc      = bookmarks.Identity{Category: "client", Type: "pc"}
	mobile  = bookmarks.Identity{Category: "client", Type: "phone"}
	gateway = bookmarks.Identity{Category: "gateway"}
)

const (
	pcNever  = "<never identity-category='client' identity-type='pc'/>"
	advanced = "<never identity-category='client' identity-type='pc' x='1'><advanced><m xmlns='custom:ns-1'><when day='monday'>night</when></m></advanced></never>"
)

// TestNotifyFor: the setting that is most specific to a client wins (CNS-1, XEP-0492 §3).
func TestNotifyFor(t *testing.T) {
	t.Parallel()
	const all = pcNever + "<on-mention identity-category='client' identity-type='phone'/><on-mention identity-category='gateway'/><always/>"
	for _, tt := range []struct {
		name, settings string
		who            bookmarks.Identity
		want           bookmarks.Notify
	}{
		{"nothing", "", pc, bookmarks.NotifyUnset},
		{"fallback", "<never/>", pc, bookmarks.NotifyNever},
		{"type", all, pc, bookmarks.NotifyNever},
		{"another type", all, mobile, bookmarks.NotifyOnMention},
		{"category", all, bookmarks.Identity{Category: "gateway", Type: "irc"}, bookmarks.NotifyOnMention},
		{"none of them", all, bookmarks.Identity{Category: "client", Type: "web"}, bookmarks.NotifyAlways},
		{"nobody in particular", all, anybody, bookmarks.NotifyAlways},
		{"category alone", pcNever, client, bookmarks.NotifyUnset},
		{"another language", "<never xmlns='urn:x'/><sometimes/>", pc, bookmarks.NotifyUnset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := bookmarks.ParseNotify(notify(tt.settings))
			if got := s.For(tt.who); err != nil || got != tt.want {
				t.Errorf("got %q, want %q; %v", got, tt.want, err)
			}
		})
	}
	if bookmarks.DefaultNotify(true) != bookmarks.NotifyOnMention || bookmarks.DefaultNotify(false) != bookmarks.NotifyAlways {
		t.Error("defaults differ")
	}
}

// TestNotifySet: what is set is for those it is meant for, what others have put there
// stays (CNS-1, XEP-0492 §3).
func TestNotifySet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, settings string
		who            bookmarks.Identity
		when           bookmarks.Notify
		want           string
	}{
		{"first", "", pc, bookmarks.NotifyNever, pcNever + "<never/>"},
		{"for all", "", anybody, bookmarks.NotifyOnMention, "<on-mention/>"},
		{"a type needs a category", "", bookmarks.Identity{Type: "pc"}, bookmarks.NotifyNever, "<never/>"},
		{"there is one for all", "<always/>", gateway, bookmarks.NotifyNever, "<always/><never identity-category='gateway'/>"},
		{"in its place", pcNever + "<always/>", pc, bookmarks.NotifyAlways, "<always identity-category='client' identity-type='pc'/><always/>"},
		{"advanced settings", advanced + "<on-mention/><x xmlns='urn:x'/>", pc, bookmarks.NotifyOnMention,
			"<on-mention identity-category='client' identity-type='pc' x='1'><advanced><m xmlns='custom:ns-1'><when day='monday'>night</when></m></advanced></on-mention><on-mention/><x xmlns='urn:x'/>"},
		{"one of two", "<never/><always><advanced><a xmlns='urn:a'/></advanced></always>", anybody, bookmarks.NotifyOnMention, "<on-mention><advanced><a xmlns='urn:a'/></advanced></on-mention>"},
		{"nothing", pcNever + "<always/>", pc, bookmarks.NotifyUnset, "<always/>"},
		{"nothing but what others have", advanced, pc, bookmarks.NotifyUnset, advanced},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := bookmarks.Bookmark{Room: "a@x.example", Extensions: []mux.Child{mux.RawChild(xml.Name{Space: "urn:y", Local: "y"}, "<y xmlns='urn:y'/>")}}
			if tt.settings != "" {
				b.Extensions = append(b.Extensions, notify(tt.settings))
			}
			s := b.Notify()
			s.Set(tt.who, tt.when)
			b.SetNotify(s)
			want := "<conference xmlns='urn:xmpp:bookmarks:1'><extensions><y xmlns='urn:y'/>" + notify(tt.want).Raw() + "</extensions></conference>"
			if err := muxtest.Match(want, string(b.Payload()), nil); err != nil {
				t.Errorf("got %s: %v", b.Payload(), err)
			}
			if again, err := bookmarks.Parse(b.Room, b.Payload()); err != nil || again.Payload() != b.Payload() {
				t.Errorf("it is read as %s, %v", again.Payload(), err)
			}
		})
	}
}

// TestNotifyMalformed: what is something else is none.
func TestNotifyMalformed(t *testing.T) {
	t.Parallel()
	if _, err := bookmarks.ParseNotify(mux.RawChild(xml.Name{Space: "urn:x", Local: "notify"}, "<notify xmlns='urn:x'/>")); err == nil {
		t.Error("no error")
	}
}

// FuzzNotify: settings are written as they were read.
func FuzzNotify(f *testing.F) {
	for _, s := range []string{"", pcNever + "<always/>", advanced, "<x/>text<never identity-type='pc'/>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		el, err := mux.Parse([]byte(notify(inner).Raw()))
		if err != nil {
			return
		}
		s, err := bookmarks.ParseNotify(mux.RawChild(el.Name(), notify(inner).Raw()))
		if err != nil {
			return
		}
		s.Set(pc, bookmarks.NotifyNever)
		for range 2 {
			again, err := bookmarks.ParseNotify(s.Child())
			if err != nil || again.For(pc) != bookmarks.NotifyNever || again.For(gateway) == bookmarks.NotifyUnset && s.For(gateway) != bookmarks.NotifyUnset {
				t.Fatalf("%s became %s, %v", s.Child().Raw(), again.Child().Raw(), err)
			}
			s = again
		}
		if again, err := bookmarks.ParseNotify(s.Child()); err != nil || again.Child().Raw() != s.Child().Raw() {
			t.Fatalf("%s became %s, %v", s.Child().Raw(), again.Child().Raw(), err)
		}
	})
}
