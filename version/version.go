// Package version tells which software the server is, XEP-0092: Software Version,
// version 1.1, on the server's side.
//
//	m, err := mux.New(host, nil, version.New("Example", "1.2", nil), …)
//
// A client asks with Get of mellium.im/xmpp/version.
//
// # Security
//
// Whoever may send a request to the server learns name and version, and with
// them what is known to be wrong with it (§5). The operating system is told only
// if [Options] name it.
package version

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of the request, and the feature.
const NS = "jabber:iq:version"

// ErrOptions is returned by Register for a name, version or system that is
// missing or cannot be written in XML.
var ErrOptions = errors.New("version: name and version must be given, in characters that XML allows")

// Options refine an Extension.
type Options struct {
	// OS is the operating system; empty does not tell it.
	OS string
}

var _ mux.Extension = (*Extension)(nil)

// Extension answers requests for the version. It does not change.
type Extension struct {
	name, version, os string
	answer            mux.Raw
}

// New returns the extension for software of that name and version, neither of
// which may be empty. o may be nil.
func New(name, version string, o *Options) *Extension {
	x := &Extension{name: name, version: version}
	if o != nil {
		x.os = o.OS
	}
	x.answer = answer(x.name, x.version, x.os)
	return x
}

// answer is the result: name and version always, os only if there is one
// (XEP-0092 §2).
func answer(name, version, os string) mux.Raw {
	b := []byte("<query xmlns='" + NS + "'><name>")
	b = xmlwrite.AppendText(b, name)
	b = append(b, "</name><version>"...)
	b = xmlwrite.AppendText(b, version)
	b = append(b, "</version>"...)
	if os != "" {
		b = append(b, "<os>"...)
		b = xmlwrite.AppendText(b, os)
		b = append(b, "</os>"...)
	}
	return mux.Raw(append(b, "</query>"...))
}

// Name implements [mux.Extension].
func (x *Extension) Name() string { return "version" }

// Register implements [mux.Extension]. The error is [ErrOptions].
func (x *Extension) Register(r *mux.Registry) error {
	if x.name == "" || x.version == "" || !xmlwrite.ValidText(x.name+x.version+x.os) {
		return ErrOptions
	}
	r.IQ(mux.AtHost, stanza.GetIQ, xml.Name{Space: NS, Local: "query"}, x.get)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

func (x *Extension) get(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return x.answer, nil
}
