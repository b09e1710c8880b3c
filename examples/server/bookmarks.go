package main

import (
	"context"
	"encoding/xml"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/private"
)

// unified puts package bookmarks between nodes and private XML.
type unified struct {
	marks   *bookmarks.Extension
	node    pep.Keeper
	old     pep.Keeper
	private private.Keeper
}

// newUnified prepares what nodes and private XML are made with; join completes it.
func newUnified() *unified {
	u := new(unified)
	u.node = pep.Keeper{ID: bookmarks.Current,
		Get: func(ctx context.Context, e *mux.Event) (mux.Raw, time.Time, error) { return u.marks.Node(ctx, e) },
		Set: func(ctx context.Context, e *mux.Event, list mux.Raw) error { return u.marks.SetNode(ctx, e, list) }}
	u.old = pep.Keeper{Set: func(ctx context.Context, e *mux.Event, p mux.Raw) error { return u.marks.Refuse(ctx, e, p) }}
	u.private = private.Keeper{
		Get: func(ctx context.Context, e *mux.Event) (mux.Raw, error) { return u.marks.Private(ctx, e) },
		Set: func(ctx context.Context, e *mux.Event, list mux.Child) error { return u.marks.SetPrivate(ctx, e, list) }}
	return u
}

// keeper says who keeps the items of a node.
func (u *unified) keeper(node string) *pep.Keeper {
	switch node {
	case bookmarks.NSLegacy:
		return &u.node
	case bookmarks.NSOld:
		return &u.old
	}
	return nil
}

// keeperOf says who keeps an element of private XML.
func (u *unified) keeperOf(name xml.Name) *private.Keeper {
	if name == bookmarks.Name {
		return &u.private
	}
	return nil
}

// loaded moves what older software has left.
func (u *unified) loaded(ctx context.Context, e *mux.Event) error { return u.marks.Loaded(ctx, e) }

// join makes the extension.
func (u *unified) join(events *pep.Extension, personal *private.Extension, log *slog.Logger) *bookmarks.Extension {
	u.marks = bookmarks.New(events, personal, &bookmarks.Options{Logger: log})
	events.OnChange(u.marks.Changed)
	return u.marks
}
