package negotiate

import (
	"log/slog"
	"strconv"
	"sync"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

const (
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsLimits  = "urn:xmpp:stream-limits:0"

	nsBindings = "urn:xmpp:sasl-cb:0"
)

// offer writes the stream features that the state allows.
func (r *run) offer() error {
	scratch := buffers.Get().(*[]byte)
	defer buffers.Put(scratch)
	*scratch = r.features((*scratch)[:0], r.st.State(), "")
	return r.t.WriteElement(*scratch)
}

// buffers are for features, which are copied.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// features are those that a state allows (core-im §4, SF-1, SF-2), those of
// extensions in order of registration. They are appended to b, which is empty; the
// attributes go into the start tag.
func (r *run) features(b []byte, state mux.State, attrs string) []byte {
	b = append(b, "<stream:features"...)
	b = append(append(b, attrs...), '>')
	from := len(b)
	if r.t.CanSecure() && state&mux.Authenticated == 0 {
		b = append(b, "<starttls xmlns='"+nsTLS+"'>"...)
		if state&mux.Secure == 0 {
			b = append(b, "<required/>"...)
		}
		b = append(b, "</starttls>"...)
	}
	limits := r.n.opt.PreAuth
	// core-im LC-9, auth-register ST-7: in clear there is nothing else.
	if state&mux.Secure != 0 {
		if state&mux.Authenticated == 0 {
			b = r.mechanisms(b)
		} else {
			limits = r.n.opt.PostAuth
			if state&mux.Bound == 0 {
				b = append(b, "<bind xmlns='"+nsBind+"'><required/></bind>"...)
			}
			b = append(b, "<session xmlns='"+nsSession+"'><optional/></session>"...)
		}
		b = r.registered(b, state, nil)
	}
	b = appendLimits(b, limits)
	if state&mux.Secure != 0 {
		b = r.registered(b, state, b[from:len(b):len(b)])
	}
	return append(b, "</stream:features>"...)
}

// mechanisms lists those that can succeed here (auth-register SA-1), and the
// channel bindings that some of them can use (XEP-0440 §2).
func (r *run) mechanisms(b []byte) []byte {
	if r.n.opt.SASL == nil {
		return b
	}
	names := r.n.opt.SASL.Mechanisms(r.st)
	r.auth.listed = names
	b = r.channelBindings(b) // also if only the mechanisms of a feature have a use for them
	if len(names) == 0 {
		return b
	}
	b = append(b, "<mechanisms xmlns='"+nsSASL+"'>"...)
	for _, m := range names {
		b = append(b, "<mechanism>"...)
		b = xmlwrite.AppendText(b, m)
		b = append(b, "</mechanism>"...)
	}
	return append(b, "</mechanisms>"...)
}

func (r *run) channelBindings(b []byte) []byte {
	s, ok := r.n.opt.SASL.(ChannelBinder)
	if !ok {
		return b
	}
	types := s.ChannelBindings(r.st)
	if len(types) == 0 {
		return b
	}
	b = append(b, "<sasl-channel-binding xmlns='"+nsBindings+"'>"...)
	for _, t := range types {
		b = append(b, "<channel-binding type='"...)
		b = xmlwrite.AppendAttrValue(b, t)
		b = append(b, "'/>"...)
	}
	return append(b, "</sasl-channel-binding>"...)
}

// registered adds what extensions offer: by List, or by Last with what the others
// have offered.
func (r *run) registered(b []byte, state mux.State, others []byte) []byte {
	all := r.n.m.Features()
	for i := range all {
		f := &all[i]
		var p xmlstream.Marshaler
		switch {
		case !allows(f, state):
		case others != nil:
			if f.Last != nil {
				p = f.Last(r.ctx, r.st, others)
			}
		case f.List != nil:
			p = f.List(r.ctx, r.st)
		}
		if p == nil {
			continue
		}
		with, err := appendPayload(b, p)
		if err != nil {
			r.n.log.LogAttrs(r.ctx, slog.LevelError, "feature cannot be written", slog.String("feature", f.Name), slog.Any("err", err))
			continue
		}
		b = with
	}
	return b
}

func allows(f *mux.Feature, state mux.State) bool {
	return state&f.Needs == f.Needs && state&f.Forbids == 0
}

// appendLimits announces limits (XEP-0478 §3, core-im LIM-30).
func appendLimits(b []byte, l Limits) []byte {
	idle := int(l.Idle.Seconds())
	if l.MaxBytes <= 0 && idle <= 0 {
		return b
	}
	b = append(b, "<limits xmlns='"+nsLimits+"'>"...)
	if l.MaxBytes > 0 {
		b = strconv.AppendInt(append(b, "<max-bytes>"...), int64(l.MaxBytes), 10)
		b = append(b, "</max-bytes>"...)
	}
	if idle > 0 {
		b = strconv.AppendInt(append(b, "<idle-seconds>"...), int64(idle), 10)
		b = append(b, "</idle-seconds>"...)
	}
	return append(b, "</limits>"...)
}

// appendPayload writes a payload where the default namespace is jabber:client.
func appendPayload(dst []byte, p xmlstream.Marshaler) ([]byte, error) {
	if a, ok := p.(interface{ AppendXML([]byte) []byte }); ok {
		return a.AppendXML(dst), nil
	}
	return xmlwrite.AppendTokens(dst, p.TokenReader(), mux.NSClient)
}
