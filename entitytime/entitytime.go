// Package entitytime tells the server's time, XEP-0202: Entity Time, version 2.0,
// on the server's side, in the formats of XEP-0082.
//
//	m, err := mux.New(host, nil, entitytime.New(nil), …)
//
// A client asks with Get of mellium.im/xmpp/xtime.
//
// # Security
//
// The zone tells roughly where the server is; it is UTC unless [Options] say
// otherwise.
package entitytime

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of the request, and the feature.
const NS = "urn:xmpp:time"

// Options refine an Extension. The zero value is ready to use.
type Options struct {
	// Location is the zone whose offset is told; nil is UTC.
	Location *time.Location
}

var _ mux.Extension = (*Extension)(nil)

// Extension answers requests for the time.
type Extension struct{ zone *time.Location }

// New returns the extension. o may be nil.
func New(o *Options) *Extension {
	x := &Extension{zone: time.UTC}
	if o != nil && o.Location != nil {
		x.zone = o.Location
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "entitytime" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	r.IQ(mux.AtHost, stanza.GetIQ, xml.Name{Space: NS, Local: "time"}, x.get)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

func (x *Extension) get(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return answer(time.Now(), x.zone), nil
}

// answer is the result (XEP-0202 §2): the offset as ±hh:mm or Z, the time in UTC
// and ending in Z whatever the zone (XEP-0082 §3).
func answer(now time.Time, zone *time.Location) mux.Raw {
	return mux.Raw("<time xmlns='" + NS + "'><tzo>" + now.In(zone).Format("Z07:00") + "</tzo><utc>" +
		now.UTC().Format("2006-01-02T15:04:05.000Z") + "</utc></time>")
}
