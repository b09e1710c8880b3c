package pep

import (
	"context"
	"encoding/xml"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Publication is what server code publishes for an account.
type Publication struct {
	Node string
	// ID may be empty for one that is made up.
	ID string
	// Payload is one element that declares its namespaces.
	Payload mux.Raw
	// Options are preconditions, by the names of fields without pubsub#.
	Options map[string][]string
	// Counted says that it is part of what was counted already, so that [Options.PerMinute]
	// does not limit it.
	Counted bool
	// Defaults are fields of the node if it comes to be by this, which Options beat.
	Defaults map[string][]string
}

// Publish publishes for the account of the turn, as if it had done so itself, and returns
// the ID of the item. Errors are those that the client would get. It may wait for the
// store, unless the node is [Extension.Ready]. Nodes whose items are kept elsewhere are those
// of the store here.
func (x *Extension) Publish(ctx context.Context, e *mux.Event, p Publication) (id string, err error) {
	q, err := x.request(ctx, e, p.pubsub())
	if err != nil {
		return "", err
	}
	q.counted = p.Counted
	q.defaults = p.Defaults
	if _, err = publish(ctx, q); err != nil {
		return "", err
	}
	return q.made, nil
}

// pubsub is the request.
func (p *Publication) pubsub() []byte {
	b := appendAttr([]byte("<pubsub xmlns='"+NS+"'><publish"), "node", p.Node)
	b = appendAttr(append(b, "><item"...), "id", p.ID)
	b = append(append(append(b, '>'), p.Payload...), "</item></publish>"...)
	if len(p.Options) > 0 {
		b = append(b, "<publish-options>"...)
		b = appendFormStart(b, "submit", "publish-options")
		for _, name := range sortedKeys(p.Options) {
			b = appendField(b, name, p.Options[name])
		}
		b = append(b, "</x></publish-options>"...)
	}
	return append(b, "</pubsub>"...)
}

// Retract takes an item back for the account of the turn; those who would get its
// events are told. Errors are those that the client would get. It may wait for the
// store.
func (x *Extension) Retract(ctx context.Context, e *mux.Event, node, id string) error {
	b := appendAttr([]byte("<pubsub xmlns='"+NS+"'><retract notify='true'"), "node", node)
	b = appendAttr(append(b, "><item"...), "id", id)
	q, err := x.request(ctx, e, append(b, "/></retract></pubsub>"...))
	if err == nil {
		_, err = retract(ctx, q)
	}
	return err
}

// request is a request of the turn's account itself.
func (x *Extension) request(ctx context.Context, e *mux.Event, pubsub []byte) (*query, error) {
	q, err := x.inner(e, pubsub)
	if err != nil {
		return nil, err
	}
	if q.a, err = x.load(ctx, e); err == nil {
		x.pending.begin(e)
	}
	return q, err
}

// inner is such a request, read only.
func (x *Extension) inner(e *mux.Event, pubsub []byte) (*query, error) {
	s, err := mux.Parse(pubsub)
	if err != nil {
		return nil, errInvalidPayload
	}
	iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "set", From: e.Account, To: e.Account},
		mux.RawChild(xml.Name{Space: NS, Local: "pubsub"}, string(s.Append(nil, ""))))
	q := &query{x: x, e: e, from: e.Account, owner: true, inner: true}
	q.request, err = parse(iq)
	return q, err
}

// appendField writes a field of a submitted form.
func appendField(b []byte, name string, values []string) []byte {
	b = append(appendAttr(append(b, "<field"...), "var", varPrefix+name), '>')
	for _, v := range values {
		b = append(b, "<value>"...)
		b = xmlwrite.AppendText(b, v)
		b = append(b, "</value>"...)
	}
	return append(b, "</field>"...)
}
