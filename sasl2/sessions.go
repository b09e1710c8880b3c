package sasl2

import (
	"encoding/base64"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// appendSessions adds the clients that are known by their sessions only, one for each
// session: they do not say which they are, or have logged in by the profile of RFC
// 6120, or were forgotten while they are here. It must follow all others.
func (x *Extension) appendSessions(list []Device, e *mux.Event, now time.Time) []Device {
	named := list
	for _, s := range e.Sessions() {
		o := x.owner.Of(s)
		if s.State() > mux.Hibernating || o.among(named) {
			continue
		}
		list = append(list, Device{
			ID: x.keys.sessionID(s), Resource: s.JID().Resource(),
			First: s.Created(), Last: now, Connected: true,
			// Where the password changes, sessions end but for the one that does it.
			Password: !o.token.Load(),
		})
	}
	return list
}

// among reports whether the session is of one of them.
func (o *owner) among(list []Device) bool {
	for _, d := range list {
		if o.is(d.ID) {
			return true
		}
	}
	return false
}

// sessionID is what a client is known by that has nothing but a session, whose own id
// must not be seen by others: it is what a session is resumed with.
func (k *keys) sessionID(s *mux.Session) string {
	id := s.ID()
	return k.session.text(base64.RawURLEncoding, 18, id[:], s.Account().String())
}
