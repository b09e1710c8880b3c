package carbons

import (
	"context"
	"errors"
	"sync/atomic"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// Manual leaves it to the embedder to enable carbons, such as inline with Bind 2.
	Manual bool
	// Answered is told, in a turn, how the server has answered the request to enable
	// carbons: err is nil, a [stanza.Error] or [mux.ErrTimeout]. nil for nobody.
	Answered func(ctx context.Context, e *mux.Event, err error)
}

var _ mux.Extension = (*Client)(nil)

// Client is the client's side for a [mux.ClientSession]: it enables carbons when the
// session begins, and keeps copies away from the extensions behind it, so it should
// be the first. Make one with NewClient; it belongs to one mux.
type Client struct {
	opt     ClientOptions
	handle  func(ctx context.Context, e *mux.Event, c Copy)
	enabled atomic.Bool
}

// NewClient returns the extension. handle is called for each copy of the own account,
// in a turn and in order, and must not wait. What claims to be a copy and is none is
// dropped. o may be nil and is copied.
func NewClient(handle func(ctx context.Context, e *mux.Event, c Copy), o *ClientOptions) *Client {
	x := &Client{handle: handle}
	if o != nil {
		x.opt = *o
	}
	return x
}

// Name implements [mux.Extension].
func (*Client) Name() string { return "carbons" }

var errNoHandler = errors.New("no handler of copies")

// Register implements [mux.Extension].
func (x *Client) Register(r *mux.Registry) error {
	if x.handle == nil {
		return errNoHandler
	}
	r.Guard(mux.FromPeer, mux.Message, x.take)
	if !x.opt.Manual {
		r.Lifecycle(mux.Lifecycle{Bound: x.enable})
	}
	return nil
}

// Enabled reports whether the server has agreed to make copies.
func (x *Client) Enabled() bool { return x.enabled.Load() }

// take hands copies over. ClientSession has set the sender where there was none, so
// that none at all means one that is no address.
func (x *Client) take(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	c, err := Unwrap(e.Stanza, e.Account)
	switch {
	case errors.Is(err, ErrNoCopy):
		return mux.Pass, nil
	case err == nil && !e.Stanza.From().IsZero():
		x.handle(ctx, e, c)
	}
	return mux.Done, nil
}

// enable asks the server, in the turn in which the session begins.
func (x *Client) enable(ctx context.Context, e *mux.Event) {
	iq := mux.Make(mux.Head{Kind: mux.IQ, Type: "set", From: e.Account, To: e.Account}, mux.RawChild(enableName, "<enable xmlns='"+NS+"'/>"))
	e.Query(ctx, iq, func(ctx context.Context, e *mux.Event, reply *mux.Stanza, err error) {
		if err == nil {
			err = errorOf(reply)
		}
		x.enabled.Store(err == nil)
		if x.opt.Answered != nil {
			x.opt.Answered(ctx, e, err)
		}
	})
}

// errorOf is what an answer says went wrong.
func errorOf(reply *mux.Stanza) error {
	if reply.Type() != "error" {
		return nil
	}
	var v struct {
		Error stanza.Error `xml:"error"`
	}
	if err := reply.Decode(&v); err != nil || v.Error.Condition == "" {
		return stanza.Error{Type: stanza.Cancel, Condition: stanza.UndefinedCondition}
	}
	return v.Error
}
