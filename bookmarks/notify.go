package bookmarks

import (
	"encoding/xml"
	"slices"

	"github.com/propolis-im/propolis/mux"
)

// NSNotify is the namespace of notification settings (XEP-0492).
const NSNotify = "urn:xmpp:notification-settings:1"

var notifyName = xml.Name{Space: NSNotify, Local: "notify"}

// Notify says which messages of a chat notify (XEP-0492 §2.1).
type Notify uint8

// The settings.
const (
	NotifyUnset     Notify = iota // nothing is said
	NotifyAlways                  // all do
	NotifyOnMention               // those that mention the user
	NotifyNever                   // none
)

var notifyNames = [...]string{"", "always", "on-mention", "never"}

// String is the name of the element.
func (n Notify) String() string {
	if int(n) < len(notifyNames) {
		return notifyNames[n]
	}
	return ""
}

func notifyNamed(name string) Notify {
	return Notify(max(0, slices.Index(notifyNames[:], name)))
}

// DefaultNotify is what holds where nothing is said: always, in public groups on mention
// (XEP-0492 §3).
func DefaultNotify(public bool) Notify {
	if public {
		return NotifyOnMention
	}
	return NotifyAlways
}

// Identity says which clients a setting is for, as service discovery describes them, such
// as client and phone. The zero value, and one with a category alone, are for more of
// them; a type needs a category (XEP-0492 §2.2).
type Identity struct{ Category, Type string }

// NotifySettings are the notification settings of a chat. What is unknown of those that
// were read, such as advanced settings of other clients, is written again (XEP-0492 §3).
type NotifySettings struct {
	list []notifySetting
	rest notifyRest
}

// notifyRest is what is unknown beside the settings.
type notifyRest struct {
	attrs []xml.Attr
	kids  []mux.Child
}

type notifySetting struct {
	when Notify
	who  Identity
	rest notifyRest
}

func readRest(c mux.Child, but ...string) (r notifyRest, el *mux.Stanza, err error) {
	if el, err = c.Element(); err != nil {
		return r, nil, err
	}
	r.attrs, err = attributes(c.TokenReader(), but...)
	return r, el, err
}

// ParseNotify reads the element notify. The error is [ErrNoBookmark].
func ParseNotify(c mux.Child) (NotifySettings, error) {
	rest, el, err := readRest(c)
	if err != nil || c.Name != notifyName {
		return NotifySettings{}, ErrNoBookmark
	}
	s := NotifySettings{rest: rest}
	for _, k := range el.Children() {
		o, err := own(k)
		if err != nil {
			return NotifySettings{}, ErrNoBookmark
		}
		when := notifyNamed(k.Name.Local)
		if k.Name.Space != NSNotify || when == NotifyUnset {
			s.rest.kids = append(s.rest.kids, o)
			continue
		}
		one := notifySetting{when: when, who: Identity{k.Attr("identity-category"), k.Attr("identity-type")}}
		inner := (*mux.Stanza)(nil)
		if one.rest, inner, err = readRest(o, "identity-category", "identity-type"); err != nil {
			return NotifySettings{}, ErrNoBookmark
		}
		for _, a := range inner.Children() {
			ao, err := own(a)
			if err != nil {
				return NotifySettings{}, ErrNoBookmark
			}
			one.rest.kids = append(one.rest.kids, ao)
		}
		s.list = append(s.list, one)
	}
	return s, nil
}

// For is what is said for a client: the most specific setting wins (XEP-0492 §3).
// [NotifyUnset] stands for nothing, see [DefaultNotify].
func (s *NotifySettings) For(who Identity) Notify {
	for _, w := range who.wider() {
		if i := s.index(w); i >= 0 {
			return s.list[i].when
		}
	}
	return NotifyUnset
}

// wider are the identities whose settings are for a client, the most specific first.
func (i Identity) wider() []Identity {
	switch {
	case i.Category == "":
		return []Identity{{}}
	case i.Type == "":
		return []Identity{i, {}}
	}
	return []Identity{i, {Category: i.Category}, {}}
}

func (s *NotifySettings) index(who Identity) int {
	return slices.IndexFunc(s.list, func(o notifySetting) bool { return o.who == who })
}

// Set says what holds for clients, with the advanced settings that are there. If nothing
// is said for all clients yet it is said for them as well (XEP-0492 §3). With
// [NotifyUnset] what is said for just these clients goes, unless somebody has advanced
// settings in it.
func (s *NotifySettings) Set(who Identity, when Notify) {
	if who.Category == "" {
		who = Identity{} // XEP-0492 §2.2
	}
	if when == NotifyUnset {
		s.list = slices.DeleteFunc(s.list, func(o notifySetting) bool { return o.who == who && len(o.rest.kids) == 0 })
		return
	}
	for _, w := range []Identity{who, {}} {
		switch i := s.index(w); {
		case i < 0:
			s.list = append(s.list, notifySetting{when: when, who: w})
		case w == who:
			s.list[i].when = when
			s.dropTwins(i)
		}
	}
}

// dropTwins leaves one setting for the same clients, since there is to be one only
// (XEP-0492 §3). What others have in it goes to the first.
func (s *NotifySettings) dropTwins(first int) {
	for i := len(s.list) - 1; i > first; i-- {
		if s.list[i].who == s.list[first].who {
			s.list[first].rest.kids = append(s.list[first].rest.kids, s.list[i].rest.kids...)
			s.list = slices.Delete(s.list, i, i+1)
		}
	}
}

// Child is the element notify.
func (s *NotifySettings) Child() mux.Child {
	b := append(appendAttrs([]byte("<notify xmlns='"+NSNotify+"'"), s.rest.attrs), '>')
	for _, o := range s.list {
		b = append(append(b, '<'), o.when.String()...)
		if o.who.Category != "" {
			b = appendAttr(b, "identity-category", o.who.Category)
		}
		if o.who.Type != "" {
			b = appendAttr(b, "identity-type", o.who.Type)
		}
		b = append(appendAttrs(b, o.rest.attrs), '>')
		for _, c := range o.rest.kids {
			b = append(b, c.Raw()...)
		}
		b = append(append(append(b, "</"...), o.when.String()...), '>')
	}
	for _, c := range s.rest.kids {
		b = append(b, c.Raw()...)
	}
	return mux.RawChild(notifyName, string(append(b, "</notify>"...)))
}

// Notify are the notification settings of a bookmark, of which nothing is said if there
// are none.
func (b *Bookmark) Notify() NotifySettings {
	for _, c := range b.Extensions {
		if s, err := ParseNotify(c); err == nil {
			return s
		}
	}
	return NotifySettings{}
}

// SetNotify replaces them. Change what [Bookmark.Notify] gives, since others may have
// settings in it.
func (b *Bookmark) SetNotify(s NotifySettings) {
	b.Extensions = replace(slices.Clone(b.Extensions), []mux.Child{s.Child()})
}
