package bookmarks

import (
	"hash/maphash"
	"slices"
	"strconv"

	"github.com/propolis-im/propolis/mux"
)

// NSLegacy in private XML is told to nobody, so who writes it may have read it long ago.
// base is what a session has seen of it, so that what others have changed since is not taken
// for a change of its own.
type base struct {
	rooms map[string]uint64 // digests by the keys of rooms; nil if nothing was read
}

// digest is what an old list says of a room, but for what clients may not know.
func (x *Extension) digest(b *Bookmark) uint64 {
	return maphash.String(x.seed, strconv.Quote(b.Name)+strconv.FormatBool(b.Autojoin)+strconv.Quote(b.Nick)+strconv.Quote(b.Password))
}

// baseOf is what the client of the turn has seen; nil if that is not known, or if it is
// told of changes in another way.
func (x *Extension) baseOf(e *mux.Event) *base {
	if e.Session == nil || x.nodes.Hears(e.Session, NSLegacy) {
		return nil
	}
	return x.sessions.Of(e.Session)
}

// saw notes what a client has read or written.
func (x *Extension) saw(e *mux.Event, l *List) {
	b := x.baseOf(e)
	if b == nil {
		return
	}
	b.rooms = make(map[string]uint64, len(l.Rooms))
	for i := range l.Rooms {
		b.rooms[l.Rooms[i].key()] = x.digest(&l.Rooms[i])
	}
}

// rebase puts into a list that a client has written what others have changed since it
// read it: what it says of a room as it was then is not its own word.
func (x *Extension) rebase(b *base, have []Bookmark, l *List) {
	if b == nil || b.rooms == nil {
		return
	}
	there := make(map[string]*Bookmark, len(have))
	for i := range have {
		there[have[i].key()] = &have[i]
	}
	l.Rooms = slices.DeleteFunc(slices.Clone(l.Rooms), func(w Bookmark) bool {
		was, seen := b.rooms[w.key()]
		return seen && was == x.digest(&w) && there[w.key()] == nil // taken away by others
	})
	written := make(map[string]bool, len(l.Rooms))
	for i := range l.Rooms {
		w := &l.Rooms[i]
		written[w.key()] = true
		if was, seen := b.rooms[w.key()]; seen && was == x.digest(w) {
			h := there[w.key()]
			w.Name, w.Autojoin, w.Nick, w.Password = h.Name, h.Autojoin, h.Nick, h.Password
		}
	}
	for i := range have {
		h := &have[i]
		if _, seen := b.rooms[h.key()]; !seen && h.key() != "" && !written[h.key()] {
			l.Rooms = append(l.Rooms, Bookmark{Room: h.Room, Name: h.Name, Autojoin: h.Autojoin, Nick: h.Nick, Password: h.Password})
		}
	}
}
