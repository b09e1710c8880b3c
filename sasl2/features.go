package sasl2

import (
	"bytes"
	"context"
	"log/slog"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// list is the stream feature (XEP-0388 §2.1).
func (x *Extension) list(ctx context.Context, st *mux.Stream) xmlstream.Marshaler {
	state := x.state.Of(st)
	names := x.auth.Mechanisms(st)
	state.offered = names
	if len(names) == 0 {
		return nil
	}
	b := append(make([]byte, 0, 1<<10), "<authentication xmlns='"+NS+"'>"...)
	b = appendNames(b, "mechanism", names)
	b = append(b, "<inline>"...)
	b = x.inline(ctx, b, st)
	if tokens := x.usable(st); len(tokens) > 0 {
		b = append(b, "<fast xmlns='"+NSFast+"'>"...)
		for _, m := range tokens {
			b = appendName(b, "mechanism", m.Name())
		}
		b = append(b, "</fast>"...)
	}
	b = append(b, "</inline>"...)
	for _, task := range x.tasksFor(ctx, st.From()) {
		b = append(b, "<upgrade xmlns='"+NSUpgrade+"'>"...)
		b = append(xmlwrite.AppendText(b, task), "</upgrade>"...)
	}
	return mux.Raw(append(b, "</authentication>"...))
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
	var features []byte
	for _, in := range st.Mux().Inlines() {
		switch {
		case in.At == mux.InBind:
			features = appendOnce(features, x.offered(ctx, st, in, "<feature var='", in.Name.Space))
		case in.Offer == nil:
			b = appendOnce(b, x.offered(ctx, st, in, "<"+in.Name.Local+" xmlns='", in.Name.Space))
		default:
			b = appendOnce(b, x.offered(ctx, st, in, "", ""))
		}
	}
	b = append(b, "<bind xmlns='"+NSBind+"'>"...)
	if len(features) > 0 {
		b = append(append(append(b, "<inline>"...), features...), "</inline>"...)
	}
	return append(b, "</bind>"...)
}

// offered is what one member offers, by default an element that begins and has the
// value that are given.
func (x *Extension) offered(ctx context.Context, st *mux.Stream, in mux.Inline, begin, value string) []byte {
	if in.Offer == nil {
		if in.Name.Local == "" {
			return nil // stepped with every Bind 2
		}
		return append(xmlwrite.AppendAttrValue([]byte(begin), value), "'/>"...)
	}
	p := in.Offer(ctx, st)
	if p == nil {
		return nil
	}
	ns := NS
	if in.At == mux.InBind {
		ns = NSBind
	}
	return x.appendPayload(nil, p, ns)
}

// appendOnce leaves out what is there already: two members may be of one feature.
func appendOnce(b, el []byte) []byte {
	if bytes.Contains(b, el) {
		return b
	}
	return append(b, el...)
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

// usable are the mechanisms that tokens can be used with on a stream, with the data
// of their channel bindings (auth-register SA-1). They are looked for once for each
// TLS connection.
func (x *Extension) usable(st *mux.Stream) []boundHT {
	if _, ok := x.auth.(Statuser); !ok || x.store == nil {
		return nil
	}
	state := x.state.Of(st)
	if cs := st.TLS(); state.usable == nil || state.tls != cs {
		state.tls, state.usable = cs, make([]boundHT, 0, len(x.tokens))
		for _, m := range x.tokens {
			if data, ok := x.binding(st, m); ok {
				state.usable = append(state.usable, boundHT{m, data})
			}
		}
	}
	return state.usable
}

// boundHT is a mechanism and the data of its channel binding.
type boundHT struct {
	HT
	data []byte
}

// token is the usable mechanism of that name.
func (x *Extension) token(st *mux.Stream, name string) (boundHT, bool) {
	for _, m := range x.usable(st) {
		if m.Name() == name {
			return m, true
		}
	}
	return boundHT{}, false
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
	state.version = x.keys.versionOf(st.Domain(), st.From().String(), others)
	return mux.Raw("<config-version xmlns='" + NSPipeline + "' scheme='opaque' value='" + state.version + "'/>")
}
