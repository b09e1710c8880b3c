package bookmarks

import (
	"context"
	"encoding/xml"
	"slices"

	"github.com/propolis-im/propolis/mux"
)

// Changed is what has become of a bookmark.
type Changed struct {
	// Bookmark is as it is now; of one that is gone, as it was.
	Bookmark Bookmark
	// Join asks the client to be in the room, else to leave it (XEP-0402 §4). Either may
	// be so already.
	Join bool
	// Removed says that it is gone.
	Removed bool
	// Begun says that it was read when the session began, and nothing has happened.
	Begun bool
}

// Watch has changes of bookmarks handled until stop is called, in order and one at a time.
// With each session those that there are come first, once the client of personal eventing
// has begun, and then those that went meanwhile. Where bookmarks are in private XML
// nothing is told.
func (c *Client) Watch(handle func(ctx context.Context, ch Changed)) (stop func(), err error) {
	w := &watch{client: c, handle: handle, known: make(map[string]Bookmark)}
	return c.own.WatchOwn(NS, xml.Name{Space: NS, Local: "conference"}, w.event)
}

// watch knows what was told, by the IDs of items.
type watch struct {
	client *Client
	handle func(ctx context.Context, ch Changed)
	known  map[string]Bookmark
	// read are the items that have come in this session; nil while nothing is being read.
	read map[string]bool
}

// event is told of each event, one at a time.
func (w *watch) event(ctx context.Context, what, id string, payload mux.Raw) {
	switch what {
	case "fetched", "published":
		w.published(ctx, id, payload, what == "fetched")
	case "retracted":
		w.gone(ctx, id)
	case "purged", "deleted":
		w.goneBut(ctx, nil)
	case "read":
		w.settle(ctx)
	case "unread":
		w.read = nil // of which nothing follows
	case "missed":
		w.again(ctx)
	}
}

func (w *watch) published(ctx context.Context, id string, payload mux.Raw, fetched bool) {
	if fetched {
		if w.read == nil {
			w.read = make(map[string]bool)
		}
	}
	if w.read != nil {
		w.read[id] = true
	}
	b, err := Parse(id, payload)
	if err != nil {
		return
	}
	if old, had := w.known[id]; had && !fetched && old.Payload() == b.Payload() {
		return // nothing new
	}
	w.known[id] = b
	w.handle(ctx, Changed{Bookmark: b, Join: b.Autojoin, Begun: fetched})
}

func (w *watch) gone(ctx context.Context, id string) {
	b, had := w.known[id]
	if !had {
		b = Bookmark{Room: id}
	}
	delete(w.known, id)
	w.handle(ctx, Changed{Bookmark: b, Removed: true})
}

// settle finds out what has gone while there was no session. What was told of by an event
// before anything was read is asked for.
func (w *watch) settle(ctx context.Context) {
	there := w.read
	w.read = nil
	for id := range w.known {
		if there[id] {
			continue
		}
		gone := true
		err := w.client.own.EachOwn(ctx, NS, id, func(got string, _ mux.Raw) bool { gone = gone && got != id; return gone })
		if !gone || err != nil {
			if there == nil {
				there = make(map[string]bool)
			}
			there[id] = true
		}
	}
	w.goneBut(ctx, there)
}

// goneBut tells of all that were known but those.
func (w *watch) goneBut(ctx context.Context, those map[string]bool) {
	var ids []string
	for id := range w.known {
		if !those[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		w.gone(ctx, id)
	}
}

// again reads everything, since something was missed.
func (w *watch) again(ctx context.Context) {
	there := make(map[string]bool)
	var l []Bookmark
	err := w.client.own.EachOwn(ctx, NS, "", func(id string, payload mux.Raw) bool {
		there[id] = true
		if b, err := Parse(id, payload); err == nil {
			l = append(l, b)
		}
		return true
	})
	if err != nil {
		return // the session has ended, and the next begins anew
	}
	w.goneBut(ctx, there)
	for i := range l {
		w.published(ctx, l[i].Room, l[i].Payload(), false)
	}
}
