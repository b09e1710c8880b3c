package sasl2

import (
	"bytes"
	"context"
	"encoding/xml"
	"log/slog"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// list is the stream feature (XEP-0388 §2.1).
func (x *Extension) list(ctx context.Context, st *mux.Stream) xmlstream.Marshaler {
	state := x.state.Of(st)
	state.offered = x.auth.Mechanisms(st)
	if len(state.offered) == 0 {
		return nil
	}
	return &listing{ctx, x, st, state.offered}
}

// listing is the feature where it is written, which is at once.
type listing struct {
	ctx   context.Context
	x     *Extension
	st    *mux.Stream
	names []string
}

// TokenReader implements [xmlstream.Marshaler].
func (l *listing) TokenReader() xml.TokenReader { return mux.Raw(l.AppendXML(nil)).TokenReader() }

// AppendXML appends the feature.
func (l *listing) AppendXML(b []byte) []byte {
	x, st := l.x, l.st
	b = append(b, "<authentication xmlns='"+NS+"'>"...)
	b = appendNames(b, "mechanism", l.names)
	b = append(b, "<inline>"...)
	b = x.inline(l.ctx, b, st)
	if tokens := x.usable(st); len(tokens) > 0 {
		b = append(b, "<fast xmlns='"+NSFast+"'>"...)
		for _, m := range tokens {
			b = appendName(b, "mechanism", m.Name())
		}
		b = append(b, "</fast>"...)
	}
	b = append(b, "</inline>"...)
	for _, task := range x.tasksFor(l.ctx, st.From()) {
		b = append(b, "<upgrade xmlns='"+NSUpgrade+"'>"...)
		b = append(xmlwrite.AppendText(b, task), "</upgrade>"...)
	}
	return append(b, "</authentication>"...)
}

// appendNames writes a list of names.
func appendNames(b []byte, element string, names []string) []byte {
	for _, n := range names {
		b = appendName(b, element, n)
	}
	return b
}

func appendName(b []byte, element, name string) []byte {
	b = append(append(append(b, '<'), element...), '>')
	b = xmlwrite.AppendText(b, name)
	return append(append(append(b, "</"...), element...), '>')
}

// inline offers the members: in authenticate as they are, in bind as features
// (XEP-0386 §3.1).
func (x *Extension) inline(ctx context.Context, b []byte, st *mux.Stream) []byte {
	b = x.offers(ctx, b, st, mux.InAuthenticate)
	b = append(b, "<bind xmlns='"+NSBind+"'><inline>"...)
	from := len(b)
	if b = x.offers(ctx, b, st, mux.InBind); len(b) == from {
		return append(b[:from-len("<inline>")], "</bind>"...)
	}
	return append(b, "</inline></bind>"...)
}

// offers are those of the members in one place, each once: two members may be of one
// feature.
func (x *Extension) offers(ctx context.Context, b []byte, st *mux.Stream, at mux.InlineAt) []byte {
	from := len(b)
	for _, in := range st.Mux().Inlines() {
		if in.At != at {
			continue
		}
		one := len(b)
		if b = x.offered(ctx, b, st, in); bytes.Contains(b[from:one], b[one:]) {
			b = b[:one]
		}
	}
	return b
}

// offered is what one member offers: by default an element for its name.
func (x *Extension) offered(ctx context.Context, b []byte, st *mux.Stream, in mux.Inline) []byte {
	switch {
	case in.Offer != nil:
	case in.At == mux.InBind && in.Name.Local == "":
		return b // stepped with every Bind 2
	case in.At == mux.InBind:
		return append(xmlwrite.AppendAttrValue(append(b, "<feature var='"...), in.Name.Space), "'/>"...)
	default:
		b = append(append(append(b, '<'), in.Name.Local...), " xmlns='"...)
		return append(xmlwrite.AppendAttrValue(b, in.Name.Space), "'/>"...)
	}
	p := in.Offer(ctx, st)
	if p == nil {
		return b
	}
	ns := NS
	if in.At == mux.InBind {
		ns = NSBind
	}
	return x.appendPayload(b, p, ns)
}

// appendPayload writes a payload where the default namespace is ns; one that cannot
// be written is left out.
func (x *Extension) appendPayload(b []byte, p xmlstream.Marshaler, ns string) []byte {
	if a, ok := p.(interface{ AppendXML([]byte) []byte }); ok {
		return a.AppendXML(b)
	}
	with, err := xmlwrite.AppendTokens(b, p.TokenReader(), ns)
	if err != nil {
		x.log.LogAttrs(context.Background(), slog.LevelError, "element cannot be written", slog.Any("err", err))
		return b
	}
	return with
}

// usable are the mechanisms that tokens can be used with on a stream (auth-register
// SA-1). They are looked for once for each TLS connection.
func (x *Extension) usable(st *mux.Stream) []HT {
	if _, ok := x.auth.(Statuser); !ok || x.store == nil {
		return nil
	}
	state := x.state.Of(st)
	if cs := st.TLS(); state.usable == nil || state.tls != cs {
		state.tls, state.usable = cs, make([]HT, 0, len(x.tokens))
		for _, m := range x.tokens {
			if x.binds(st, m) {
				state.usable = append(state.usable, m)
			}
		}
	}
	return state.usable
}

// token is the usable mechanism of that name.
func (x *Extension) token(st *mux.Stream, name string) (HT, bool) {
	for _, m := range x.usable(st) {
		if m.Name() == name {
			return m, true
		}
	}
	return HT{}, false
}

// binds reports whether a mechanism's channel binding has data.
func (x *Extension) binds(st *mux.Stream, m HT) bool {
	if t, ok := x.auth.(bindingTeller); ok && m.Binding() != "" {
		if _, ok := x.auth.(Binder); ok {
			return t.HasBinding(st, m.Binding())
		}
	}
	_, ok := x.binding(st, m)
	return ok
}

// binding is the data of a mechanism's channel binding.
func (x *Extension) binding(st *mux.Stream, m HT) (data []byte, ok bool) {
	if m.Binding() == "" {
		return nil, true
	}
	b, ok := x.auth.(Binder)
	if !ok {
		return nil, false
	}
	data, err := b.Binding(st, m.Binding())
	return data, err == nil && len(data) > 0
}

// version is the feature of XEP-0509, which speaks of all the others.
func (x *Extension) version(_ context.Context, st *mux.Stream, others []byte) xmlstream.Marshaler {
	state := x.state.Of(st)
	state.version = ""
	if len(state.offered) == 0 {
		return nil
	}
	state.version = x.keys.versionOf(st.Domain(), st.From().String(), x.digests.of(others))
	return configVersion(state.version)
}

// configVersion is the element with a version.
type configVersion string

// TokenReader implements [xmlstream.Marshaler].
func (v configVersion) TokenReader() xml.TokenReader { return mux.Raw(v.AppendXML(nil)).TokenReader() }

// AppendXML appends the element.
func (v configVersion) AppendXML(b []byte) []byte {
	b = append(b, "<config-version xmlns='"+NSPipeline+"' scheme='opaque' value='"...)
	return append(append(b, v...), "'/>"...)
}
