package bookmarks

import (
	"encoding/xml"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// Name is that of an old list of bookmarks, as private XML has it.
var Name = xml.Name{Space: NSLegacy, Local: "storage"}

// List is an old list of bookmarks (XEP-0048 §2): the rooms in it, and all the rest,
// such as web pages and rooms whose address is malformed.
type List struct {
	Rooms []Bookmark
	Rest  []mux.Child
}

// ParseList reads an old list. Of two bookmarks of one room the later counts. What is no
// list at all is [ErrNoBookmark].
func ParseList(list mux.Raw) (List, error) {
	el, err := mux.Parse([]byte(list))
	if err != nil || el.Name() != Name {
		return List{}, ErrNoBookmark
	}
	if len(el.Children()) == 0 && strings.TrimSpace(el.Text()) != "" {
		return List{}, ErrNoBookmark
	}
	var l List
	at := make(map[string]int)
	for _, c := range el.Children() {
		b, err := parseRoom(c)
		if err != nil {
			o, err := own(c)
			if err != nil {
				return List{}, ErrNoBookmark
			}
			l.Rest = append(l.Rest, o)
			continue
		}
		if i, twice := at[b.key()]; twice {
			l.Rooms[i] = b
			continue
		}
		at[b.key()] = len(l.Rooms)
		l.Rooms = append(l.Rooms, b)
	}
	return l, nil
}

// maxID is how long IDs of items are at most, in octets: rooms with longer addresses
// cannot be items.
const maxID = 1024

// parseRoom reads a room of an old list (XEP-0048 §2.1).
func parseRoom(c mux.Child) (Bookmark, error) {
	room := c.Attr("jid")
	if a, err := mux.ParseAddress(room); err != nil || len(a.String()) > maxID || c.Name != (xml.Name{Space: NSLegacy, Local: "conference"}) {
		return Bookmark{}, ErrNoBookmark
	}
	o, err := own(c)
	if err != nil {
		return Bookmark{}, ErrNoBookmark
	}
	b, err := parse(room, mux.Raw(o.Raw()), NSLegacy)
	if err != nil {
		return Bookmark{}, ErrNoBookmark
	}
	b.attrs = slices.DeleteFunc(b.attrs, func(a xml.Attr) bool { return a.Name == xml.Name{Local: "jid"} })
	return b, nil
}

// Compose is an old list of these bookmarks (XEP-0402 §5.3.1), but for those that it
// cannot express. What clients have added is shown as such clients had it, so that they
// find again what they wrote.
func (l *List) Compose() mux.Raw {
	p := []byte("<storage xmlns='" + NSLegacy + "'>")
	for i := range l.Rooms {
		b := &l.Rooms[i]
		if b.Address().IsZero() {
			continue
		}
		p = b.appendStart(appendAttr(append(p, "<conference"...), "jid", b.Room))
		p = b.appendTexts(append(p, '>'))
		for _, c := range b.Extensions {
			p = append(p, c.Raw()...)
		}
		p = append(p, "</conference>"...)
	}
	for _, c := range l.Rest {
		p = append(p, c.Raw()...)
	}
	return mux.Raw(append(p, "</storage>"...))
}

// Change is what an old list that is written means for the bookmarks.
type Change struct {
	Put    []Bookmark // new or changed
	Remove []string   // items that go, by their IDs
	Rest   []mux.Child
}

// Diff compares an old list that is written with the bookmarks that there are and with
// the rest that old lists had (XEP-0402 §5.3.2). Bookmarks that old lists cannot express
// stay; and a list with something that is not understood, and was not there before, takes
// nothing away.
func Diff(have []Bookmark, rest []mux.Child, l *List) Change {
	c := Change{Rest: l.Rest}
	written := make(map[string]*Bookmark, len(l.Rooms))
	for i := range l.Rooms {
		written[l.Rooms[i].key()] = &l.Rooms[i]
	}
	understood := understands(rest, l.Rest)
	there := make(map[string]int, len(have)) // the last of those of a room, which lists show
	for i := range have {
		there[have[i].key()] = i
	}
	for i := range have {
		b := &have[i]
		key := b.key()
		if key == "" {
			continue
		}
		w := written[key]
		switch {
		case w == nil && understood:
			c.Remove = append(c.Remove, b.Room)
		case w != nil && there[key] == i:
			if n, changed := b.with(w); changed {
				c.Put = append(c.Put, n)
			}
		}
	}
	for i := range l.Rooms {
		if _, ok := there[l.Rooms[i].key()]; !ok {
			b := l.Rooms[i]
			b.Room = b.key() // who looks for it compares it with what rooms are called
			c.Put = append(c.Put, b)
		}
	}
	return c
}

// understands reports whether all of the rest of a list is known: web pages (XEP-0048
// §2.2), or what was there before.
func understands(before, now []mux.Child) bool {
	known := said(before)
	for _, c := range now {
		if c.Name != (xml.Name{Space: NSLegacy, Local: "url"}) && !known[canonical(c)] {
			return false
		}
	}
	return true
}

// said is what elements say.
func said(l []mux.Child) map[string]bool {
	m := make(map[string]bool, len(l))
	for _, c := range l {
		m[canonical(c)] = true
	}
	return m
}

// unique leaves out bookmarks of rooms of which there is a later one, which an old list
// does not show twice.
func unique(have []Bookmark) []Bookmark {
	last := make(map[string]int, len(have))
	for i := range have {
		last[have[i].key()] = i
	}
	var l []Bookmark
	for i := range have {
		if last[have[i].key()] == i {
			l = append(l, have[i])
		}
	}
	return l
}
