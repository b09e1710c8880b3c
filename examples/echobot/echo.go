package main

import (
	"context"
	"encoding/xml"

	"github.com/propolis-im/propolis/mux"
)

// echo is the bot's own extension.
type echo struct{}

var _ mux.Extension = echo{}

// Name implements mux.Extension.
func (echo) Name() string { return "echo" }

// Register implements mux.Extension.
func (echo) Register(r *mux.Registry) error {
	r.Observe(mux.FromPeer, mux.Message, answer)
	return nil
}

var bodyName = xml.Name{Space: mux.NSClient, Local: "body"}

// answer sends the body back. A bot never answers errors, nor what comes to many.
func answer(ctx context.Context, e *mux.Event) {
	body, ok := e.Stanza.Child(bodyName)
	if t := e.Stanza.Type(); !ok || t != "" && t != "chat" && t != "normal" {
		return
	}
	e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, Type: "chat", To: e.Stanza.From()}, body))
}
