package server

import (
	"context"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// sizeLimit refuses stanzas that are larger than a client may send and were read all
// the same (core-im LIM-2, XEP-0205 §2): a client whose stream ends because of one
// would come back and send it again.
type sizeLimit struct{ max int }

// readable is how much larger than allowed a stanza may be for the rest of it to be
// read; above that the stream ends.
const readable = 2

// Name implements mux.Extension.
func (sizeLimit) Name() string { return "stanza size" }

// Register implements mux.Extension.
func (x sizeLimit) Register(r *mux.Registry) error {
	r.Guard(mux.FromPeer, mux.AnyStanza, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Stanza.Size() > x.max && e.Origin() != nil {
			return mux.Done, errStanzaTooBig
		}
		return mux.Pass, nil
	})
	return nil
}

var errStanzaTooBig = &mux.Error{
	Stanza: stanza.Error{Type: stanza.Modify, Condition: stanza.NotAllowed},
	App:    mux.Raw("<stanza-too-big xmlns='urn:xmpp:errors'/>"),
}

// admitSize has larger stanzas read once there is a session whose stream they would
// end.
func (c *conn) admitSize() {
	if c.role() != mux.Client {
		return // what others send in excess is no accident
	}
	c.lim.Bytes = readable * c.srv.lim.StanzaBytes
	if c.sc != nil {
		c.sc.SetLimits(c.lim)
	}
}

// tooBig is what ends the stream of an element that is too large and no stanza, which
// nobody could answer; nil for others.
func (c *conn) tooBig(s *mux.Stanza) error {
	if c.role() != mux.Client || s.Kind() != mux.Nonza || s.Size() <= c.srv.lim.StanzaBytes {
		return nil
	}
	return &xmlscan.Error{Condition: xmlscan.PolicyViolation, Reason: xmlscan.LimitBytes, Offset: c.srv.lim.StanzaBytes}
}
