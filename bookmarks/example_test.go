package bookmarks_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"time"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/private"
)

// The extension stands between the two others that keep bookmarks.
func Example() {
	var marks *bookmarks.Extension
	node := &pep.Keeper{ID: bookmarks.Current,
		Get: func(ctx context.Context, e *mux.Event) (mux.Raw, time.Time, error) { return marks.Node(ctx, e) },
		Set: func(ctx context.Context, e *mux.Event, list mux.Raw) error { return marks.SetNode(ctx, e, list) }}
	before := &pep.Keeper{Set: func(ctx context.Context, e *mux.Event, p mux.Raw) error { return marks.Refuse(ctx, e, p) }}
	events := pep.New(new(pep.Memory), &pep.Options{
		Elsewhere: func(name string) *pep.Keeper {
			return map[string]*pep.Keeper{bookmarks.NSLegacy: node, bookmarks.NSOld: before}[name]
		},
		Loaded: func(ctx context.Context, e *mux.Event) error { return marks.Loaded(ctx, e) },
	})
	personal := private.New(new(private.Memory), &private.Options{Elsewhere: func(name xml.Name) *private.Keeper {
		if name != bookmarks.Name {
			return nil
		}
		return &private.Keeper{Get: marks.Private, Set: marks.SetPrivate}
	}})
	marks = bookmarks.New(events, personal, nil)
	events.OnChange(marks.Changed)
	// The order says nothing here; a real one has a host too.
	if _, err := mux.New(nil, nil, events, personal, marks); err != nil {
		fmt.Println(err)
		return
	}
	m, err := mux.New(nil, nil, bookmarks.New(events, personal, nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// Disco AtSelf: bookmarks
	// Disco AtAccount: bookmarks
}

// A phone is not to ring for a room.
func ExampleNotifySettings() {
	b := bookmarks.Bookmark{Room: "room@chat.example.org", Autojoin: true}
	s := b.Notify()
	s.Set(bookmarks.Identity{Category: "client", Type: "phone"}, bookmarks.NotifyNever)
	s.Set(bookmarks.Identity{}, bookmarks.NotifyOnMention)
	b.SetNotify(s)
	s = b.Notify()
	fmt.Println(s.For(bookmarks.Identity{Category: "client", Type: "phone"}), s.For(bookmarks.Identity{Category: "client", Type: "pc"}))
	fmt.Println(b.Payload())
	// Output:
	// never on-mention
	// <conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><extensions><notify xmlns='urn:xmpp:notification-settings:1'><never identity-category='client' identity-type='phone'></never><on-mention></on-mention></notify></extensions></conference>
}

// nodes stand for a client of package pep in examples.
type nodes map[string]mux.Raw

func (nodes) KeepsPrivate(context.Context) (bool, error) { return true, nil }

func (n nodes) EachOwn(_ context.Context, _, id string, yield func(id string, payload mux.Raw) bool) error {
	for name, payload := range n {
		if id == "" || id == name {
			yield(name, payload)
		}
	}
	return nil
}

func (n nodes) PutOwn(_ context.Context, _, id string, payload mux.Raw) error {
	n[id] = payload
	return nil
}

func (n nodes) DropOwn(_ context.Context, _, id string) error {
	delete(n, id)
	return nil
}

func (nodes) WatchOwn(string, xml.Name, func(ctx context.Context, what, id string, payload mux.Raw)) (func(), error) {
	return func() {}, nil
}

// A real one is made with pep.NewClient(session, nil) in place of nodes.
func ExampleClient() {
	ctx := context.Background()
	c := bookmarks.NewClient(nodes{
		"hive@chat.example.org": "<conference xmlns='urn:xmpp:bookmarks:1' name='Hive'><extensions><x xmlns='urn:example'/></extensions></conference>",
	}, nil)
	// Somebody else's extension stays.
	if err := c.Put(ctx, bookmarks.Bookmark{Room: "Hive@chat.example.org", Name: "The Hive", Autojoin: true}); err != nil {
		fmt.Println(err)
	}
	all, err := c.List(ctx)
	for _, b := range all {
		fmt.Println(b.Room, b.Name, b.Autojoin, len(b.Extensions))
	}
	fmt.Println(err)
	// Output:
	// hive@chat.example.org The Hive true 1
	// <nil>
}
