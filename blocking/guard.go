package blocking

import (
	"context"
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// prepare has the list there before a client's stanza is dealt with.
func (x *Extension) prepare(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	_, _ = x.load(ctx, e) // logged; the other guards refuse what they must
	return mux.Pass, nil
}

// outgoing refuses what goes to somebody blocked (XEP-0191 §3.3).
func (x *Extension) outgoing(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	blocked, err := x.Blocked(ctx, e, e.Item.Recipient())
	switch {
	case !blocked:
		return mux.Pass, nil
	case silentOut(e.Stanza.Type(), serverMade(e.Item)):
		return mux.Done, nil
	case err != nil:
		return mux.Done, errInternal
	}
	return mux.Done, errBlocked
}

// silentOut reports whether nobody is told that a stanza does not go out: nobody
// waits for it, or it was not the client's.
func silentOut(typ string, serverMade bool) bool {
	return typ == "error" || typ == "result" || serverMade
}

// serverMade reports whether the server sends something of its own accord: what is
// marked, and stanzas shared by many recipients, such as presence and probes. A
// client must not get errors for what it has not sent.
func serverMade(it *mux.Item) bool {
	return it.Flags&(mux.Service|mux.Copy) != 0 || !it.To.IsZero()
}

// incoming keeps away what comes from somebody blocked (XEP-0191 §3.3).
func (x *Extension) incoming(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	s := e.Stanza
	blocked, err := x.Blocked(ctx, e, s.From())
	switch {
	case !blocked:
		return x.invitation(ctx, e)
	case silentIn(s):
		return mux.Done, nil
	case err != nil:
		return mux.Done, errInternal
	}
	return mux.Done, errUnavailable
}

// silentIn reports whether a stanza of somebody blocked is dropped without an
// answer (core-im BL-4): presence, answers, and messages for which an error would
// do harm, such as to throw the account out of a room. So are invitations (BL-7).
func silentIn(s *mux.Stanza) bool {
	switch s.Kind() {
	case mux.Message:
		switch s.Type() {
		case "groupchat", "headline", "error":
			return true
		}
		return s.Has(directName)
	case mux.IQ:
		return s.Type() != "get" && s.Type() != "set"
	}
	return true
}

// Invitations to rooms (XEP-0045 §7.8, XEP-0249).
var (
	userName   = xml.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"}
	directName = xml.Name{Space: "jabber:x:conference", Local: "x"}
)

// invitation drops what a room passes on from somebody blocked (core-im BL-7):
// an invitation, or its refusal. The room gets no error.
func (x *Extension) invitation(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Stanza.Kind() != mux.Message {
		return mux.Pass, nil
	}
	if l := x.lists.Peek(e); l != nil && l.loaded && len(l.items) == 0 {
		return mux.Pass, nil
	}
	user, ok := e.Stanza.Child(userName)
	if !ok {
		return mux.Pass, nil
	}
	el, err := user.Element()
	if err != nil {
		return mux.Pass, nil
	}
	for _, c := range el.Children() {
		if c.Name.Space != userName.Space || c.Name.Local != "invite" && c.Name.Local != "decline" {
			continue
		}
		from, err := mux.ParseAddress(strings.Clone(c.Attr("from")))
		if err != nil {
			continue
		}
		// A list that cannot be read blocks: the room can invite again.
		if blocked, _ := x.Blocked(ctx, e, from); blocked {
			return mux.Done, nil
		}
	}
	return mux.Pass, nil
}
