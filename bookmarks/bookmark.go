package bookmarks

import (
	"encoding/xml"
	"errors"
	"slices"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces: of bookmarks, whose node has that name too, of the version before, and
// of the old list of bookmarks.
const (
	NS       = "urn:xmpp:bookmarks:1"
	NSOld    = "urn:xmpp:bookmarks:0"
	NSLegacy = "storage:bookmarks"
)

// ErrNoBookmark: an element is not what it should be.
var ErrNoBookmark = errors.New("bookmarks: no bookmark")

// Bookmark is a bookmark of a chat room (XEP-0402 §2). One that was read has with it
// all that is unknown of it, and writes that again.
type Bookmark struct {
	// Room is the address of the room as it is written in the ID of the item. To
	// look for a room, compare [Bookmark.Address].
	Room string
	// Name is what the user calls it; Autojoin asks clients to be there.
	Name     string
	Autojoin bool
	// Nick is the user's name in the room, Password what opens it.
	Nick, Password string
	// Extensions are elements that clients have added, each of which declares its
	// namespaces.
	Extensions []mux.Child

	attrs    []xml.Attr  // further attributes
	more     []mux.Child // further children
	extAttrs []xml.Attr  // attributes of extensions
}

// Address is the address of the room, zero if it is malformed.
func (b *Bookmark) Address() mux.Address {
	a, _ := mux.ParseAddress(b.Room)
	return a
}

// key is what bookmarks of the same room have in common.
func (b *Bookmark) key() string { return b.Address().String() }

// Parse reads the payload of an item whose ID is the room. The error is
// [ErrNoBookmark].
func Parse(room string, payload mux.Raw) (Bookmark, error) { return parse(room, payload, NS) }

func parse(room string, payload mux.Raw, ns string) (Bookmark, error) {
	el, err := mux.Parse([]byte(payload))
	if err != nil || el.Name() != (xml.Name{Space: ns, Local: "conference"}) {
		return Bookmark{}, ErrNoBookmark
	}
	b := Bookmark{Room: room, Name: el.Attr("name"), Autojoin: parseBool(el.Attr("autojoin"))}
	if b.attrs, err = attributes(el.TokenReader(), "name", "autojoin"); err != nil {
		return Bookmark{}, ErrNoBookmark
	}
	for _, c := range el.Children() {
		if err := b.child(c, ns); err != nil {
			return Bookmark{}, ErrNoBookmark
		}
	}
	return b, nil
}

func (b *Bookmark) child(c mux.Child, ns string) error {
	switch {
	case c.Name.Space == ns && c.Name.Local == "nick" && b.Nick == "":
		b.Nick = c.Text()
		return nil
	case c.Name.Space == ns && c.Name.Local == "password" && b.Password == "":
		b.Password = c.Text()
		return nil
	case c.Name.Space == ns && c.Name.Local == "extensions":
		return b.extensions(c)
	}
	o, err := own(c)
	if err != nil {
		return err
	}
	if ns == NS {
		b.more = append(b.more, o)
	} else {
		b.Extensions = append(b.Extensions, o) // where else, in today's form
	}
	return nil
}

func (b *Bookmark) extensions(c mux.Child) error {
	el, err := c.Element()
	if err != nil {
		return err
	}
	attrs, err := attributes(c.TokenReader())
	if err != nil {
		return err
	}
	b.extAttrs = append(b.extAttrs, attrs...)
	for _, k := range el.Children() {
		o, err := own(k)
		if err != nil {
			return err
		}
		b.Extensions = append(b.Extensions, o)
	}
	return nil
}

// Payload is the payload of the item.
func (b *Bookmark) Payload() mux.Raw {
	p := []byte("<conference xmlns='" + NS + "'")
	p = b.appendStart(p)
	p = b.appendTexts(append(p, '>'))
	for _, c := range b.more {
		p = append(p, c.Raw()...)
	}
	if len(b.Extensions) > 0 || len(b.extAttrs) > 0 {
		p = append(appendAttrs(append(p, "<extensions"...), b.extAttrs), '>')
		for _, c := range b.Extensions {
			p = append(p, c.Raw()...)
		}
		p = append(p, "</extensions>"...)
	}
	return mux.Raw(append(p, "</conference>"...))
}

// appendStart writes the attributes.
func (b *Bookmark) appendStart(p []byte) []byte {
	if b.Name != "" {
		p = appendAttr(p, "name", b.Name)
	}
	if b.Autojoin {
		p = appendAttr(p, "autojoin", "true")
	}
	return appendAttrs(p, b.attrs)
}

func (b *Bookmark) appendTexts(p []byte) []byte {
	return appendText(appendText(p, "nick", b.Nick), "password", b.Password)
}

// with is a bookmark with what an old list says of it: all that old lists know is as it
// says, and what is unknown to whoever wrote it stays (XEP-0402 §3.4). It reports
// whether that changes anything.
func (b *Bookmark) with(l *Bookmark) (Bookmark, bool) {
	n := *b
	n.Name, n.Autojoin, n.Nick, n.Password = l.Name, l.Autojoin, l.Nick, l.Password
	n.attrs = slices.Clone(b.attrs)
	for _, a := range l.attrs {
		i := slices.IndexFunc(n.attrs, func(o xml.Attr) bool { return o.Name == a.Name })
		if i < 0 {
			n.attrs = append(n.attrs, a)
		} else {
			n.attrs[i] = a
		}
	}
	n.Extensions = replace(b.Extensions, l.Extensions)
	changed := n.Name != b.Name || n.Autojoin != b.Autojoin || n.Nick != b.Nick || n.Password != b.Password ||
		!slices.Equal(n.attrs, b.attrs) || !same(n.Extensions, b.Extensions)
	return n, changed
}

// replace puts elements in the place of those with their names, as far as they do not say
// the same.
func replace(l, by []mux.Child) []mux.Child {
	was, now := byName(l), byName(by)
	for name, group := range now {
		if same(was[name], group) {
			delete(now, name)
		}
	}
	out := make([]mux.Child, 0, len(l)+len(by))
	done := make(map[xml.Name]bool, len(now))
	for _, c := range l {
		group, other := now[c.Name]
		switch {
		case !other:
			out = append(out, c)
		case !done[c.Name]:
			done[c.Name] = true
			out = append(out, group...)
		}
	}
	for _, c := range by {
		if was[c.Name] == nil {
			out = append(out, c)
		}
	}
	return out
}

func byName(l []mux.Child) map[xml.Name][]mux.Child {
	m := make(map[xml.Name][]mux.Child)
	for _, c := range l {
		m[c.Name] = append(m[c.Name], c)
	}
	return m
}
