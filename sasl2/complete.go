package sasl2

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// complete does what the peer has asked for beside authentication: members in
// authenticate, of which one may resume a session, and if none does, binding
// (XEP-0388 §2.6, XEP-0386 §3.2).
func (l *login) complete(ctx context.Context) (outcome, error) {
	if l.x.log.Enabled(ctx, slog.LevelDebug) {
		l.x.log.LogAttrs(ctx, slog.LevelDebug, "authenticated", slog.String("account", l.account.String()), slog.String("mechanism", l.req.mechanism))
	}
	var become *mux.Resumption
	var replies []xmlstream.Marshaler
	for _, in := range l.st.Mux().Inlines() {
		if in.At != mux.InAuthenticate {
			continue
		}
		for _, c := range l.req.inline {
			if c.Name != in.Name {
				continue
			}
			e := &mux.InlineEvent{Stream: l.st, Account: l.account, Element: c}
			reply, err := in.Step(ctx, e)
			if err != nil {
				// The peer has authenticated, whatever becomes of the rest.
				l.x.log.LogAttrs(ctx, slog.LevelError, "inline request failed", slog.String("name", in.Name.Local), slog.Any("err", err))
				continue
			}
			if reply != nil {
				replies = append(replies, reply)
			}
			if become == nil {
				become = e.Become
			}
		}
	}
	if become != nil {
		return l.resume(become, replies), nil
	}
	return l.bind(replies), nil
}

// resume hands the stream to a session, or goes on with binding if that is refused
// (auth-register IN-3, IN-4).
func (l *login) resume(q *mux.Resumption, replies []xmlstream.Marshaler) outcome {
	with := *q
	with.Reply = func(s *mux.Session) xmlstream.Marshaler {
		all := replies
		if q.Reply != nil {
			all = append(all[:len(all):len(all)], q.Reply(s))
		}
		l.x.owner.Of(s).set(l.client)
		return l.success(s.JID(), all, nil)
	}
	return outcome{
		Sets: mux.Authenticated, Account: l.account, Become: &with,
		Instead: func(_ context.Context, err error) (outcome, error) {
			if q.Refused != nil {
				if failed := q.Refused(err); failed != nil {
					replies = append(replies, failed)
				}
			}
			return l.bind(replies), nil
		},
	}
}

// bind ends the login, with a session if one is asked for.
func (l *login) bind(replies []xmlstream.Marshaler) outcome {
	o := outcome{Sets: mux.Authenticated, Account: l.account}
	if l.req.bind == nil {
		l.x.state.Of(l.st).client = l.client
		o.Reply = l.success(l.account, replies, nil)
		return o
	}
	client, owner := l.client, l.x.owner
	o.Bind = &mux.BindOptions{
		Resource: l.x.resource(l.account, client, l.req.bind.tag),
		Bind2:    true,
		Inline:   l.req.bind.inline,
		// XEP-0386 §3.2: earlier sessions of the same installation end.
		Replace: func(s *mux.Session) bool { return client != "" && owner.Of(s).is(client) },
		Kept:    func(_ context.Context, e *mux.Event) { owner.Of(e.Session).set(client) },
	}
	o.Bound = func(_ context.Context, e *mux.Event) xmlstream.Marshaler {
		mem := scratch.Get().(*[]byte)
		defer scratch.Put(mem)
		bound := append((*mem)[:0], "<bound xmlns='"+NSBind+"'>"...)
		for _, p := range o.Bind.InlineReply {
			bound = l.x.appendPayload(bound, p, NSBind)
		}
		*mem = append(bound, "</bound>"...)
		return l.success(e.Session.JID(), replies, *mem)
	}
	o.Instead = func(_ context.Context, err error) (outcome, error) {
		// There is no answer for that in XEP-0386, and a success without bound is
		// not what the peer is prepared for.
		if errors.Is(err, mux.ErrLimit) {
			return outcome{}, stream.ResourceConstraint
		}
		return outcome{}, err
	}
	return o
}

// success is the end of a login: who the peer is, bare or full (XEP-0388 §2.6,
// auth-register IN-14), and what its requests have led to.
func (l *login) success(who mux.Address, replies []xmlstream.Marshaler, bound []byte) xmlstream.Marshaler {
	mem := scratch.Get().(*[]byte)
	defer scratch.Put(mem)
	b := l.appendData(append((*mem)[:0], "<success xmlns='"+NS+"'>"...))
	b = xmlwrite.AppendText(append(b, "<authorization-identifier>"...), who.String())
	b = append(b, "</authorization-identifier>"...)
	for _, p := range replies {
		b = l.x.appendPayload(b, p, NS)
	}
	b = append(b, bound...)
	if t := l.token; t != nil {
		b = append(b, "<token xmlns='"+NSFast+"' expiry='"...)
		b = t.expires.UTC().AppendFormat(b, time.RFC3339) // XEP-0082, to the second
		b = append(append(b, "' token='"...), t.secret...)
		b = append(b, "'/>"...)
	}
	*mem = append(b, "</success>"...)
	return mux.Raw(*mem)
}

// scratch is for what is copied when it is complete.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// attached notes whose session it is that was bound or resumed after SASL2, by the
// older ways, and how it was let in, by any.
func (x *Extension) attached(s *mux.Session) {
	state := x.state.Peek(s.Stream())
	x.owner.Of(s).token.Store(state != nil && state.byToken)
	if state != nil {
		state.offered, state.tls, state.usable = nil, nil, nil // of no use any more
		x.owner.Of(s).set(state.client)
	}
}

// owner is the client whose session it is, nil if that is not known, and whether a
// token has let it in. It is written under the session's lock or in its account's turn,
// and read in either. Each login says anew what token is, so that is not saved.
type owner struct {
	client atomic.Pointer[string]
	token  atomic.Bool
}

func (o *owner) set(client string) {
	if client != "" {
		o.client.Store(&client)
	}
}

func (o *owner) is(client string) bool {
	p := o.client.Load()
	return p != nil && *p == client
}

var ownerCodec = mux.Codec[owner]{
	Encode: func(dst []byte, o *owner) []byte {
		if p := o.client.Load(); p != nil {
			return append(dst, *p...)
		}
		return dst
	},
	Decode: func(src []byte, o *owner) error {
		o.set(string(src))
		return nil
	},
}

// resource is the tag of the program, if it can be part of a resource, and a part
// that is the server's: the same each time for an installation, else random
// (XEP-0386 §3.2.1).
func (x *Extension) resource(account mux.Address, client, tag string) string {
	if len(tag) > maxTag {
		tag = ""
	}
	if _, err := account.WithResource(tag); err != nil {
		tag = ""
	}
	own := x.keys.serverPart(account, client, tag)
	if client == "" {
		own = randomPart()
	}
	if tag == "" {
		return own
	}
	return tag + "/" + own
}
