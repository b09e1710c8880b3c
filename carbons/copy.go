package carbons

import (
	"context"
	"encoding/xml"
	"time"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// made are the marks of what is never copied: copies, and what was delivered once
// already (XEP-0280 §10.3). They are the server's own, not part of the message.
const made = mux.Copy | mux.Replay | mux.Offline | mux.ArchiveResult

// message is a message on its way, as the rules see it.
type message struct {
	item mux.Item // with the stanza as it is now
	way  way
	peer mux.Address // who is at the other end
	self mux.Address // whose address at this end, full or bare
	room bool        // a private message in a chat room, as far as is known
	// record is that of the message if the copies share it: then the message is lost
	// only if they all are.
	record *mux.Record
}

// at makes a message of an event at FromAccount or ToAccount.
func (x *Extension) at(e *mux.Event, w way) message {
	m := message{item: *e.Item, way: w}
	m.item.Stanza = e.Stanza
	m.peer, m.self = m.item.Recipient(), e.Stanza.From()
	if w == incoming {
		m.peer, m.self = m.self, m.peer
	}
	m.room = x.opt.Occupant != nil && !m.peer.IsBare() && !x.occupant(e, m.self, m.peer).IsZero()
	return m
}

// occupant is the address of a session in the room of a peer, zero if it has none.
func (x *Extension) occupant(e *mux.Event, full, peer mux.Address) mux.Address {
	for _, s := range e.Sessions() {
		if s.JID() == full {
			return x.opt.Occupant(s, peer.Bare())
		}
	}
	return mux.Address{}
}

// eligible reports whether a message is to be copied, and remembers it if so.
func (x *Extension) eligible(e *mux.Event, m *message, archived bool) bool {
	s := m.item.Stanza
	if m.item.Flags&made != 0 {
		return false
	}
	if s.Type() == "error" {
		return x.answers(e, m)
	}
	full := !m.peer.IsBare() && (m.way == outgoing || !m.self.IsBare())
	if !eligible(s.Type(), contentOf(s, e.Account), m.way, full, m.room, archived) {
		return false
	}
	if m.way == outgoing || len(e.Sessions()) > 1 {
		x.copied.Of(e).ways[m.way].add(m.peer.Bare(), s.ID(), sinceStart(), x.opt.Remember)
	}
	return true
}

// answers reports whether an error answers a message that went the other way and
// was copied (XEP-0280 §6.1). Hints in it are those of that message (XEP-0334 §5).
// A message to an account may be answered by one of its sessions, so resources do not
// count.
func (x *Extension) answers(e *mux.Event, m *message) bool {
	c := x.copied.Peek(e)
	if c == nil {
		return false
	}
	return c.ways[1-m.way].has(m.peer.Bare(), m.item.Stanza.ID(), sinceStart())
}

var start = time.Now()

func sinceStart() time.Duration { return time.Since(start) }

// sent copies what leaves the account (XEP-0280 §8). What is for the account itself
// is copied when it arrives there, in the same turn or a later one, since what is
// delivered is not copied.
func (x *Extension) sent(_ context.Context, e *mux.Event) {
	m := x.at(e, outgoing)
	if m.peer.Bare() == e.Account {
		return
	}
	id, archived := x.opt.StanzaID(e)
	if !x.eligible(e, &m, archived) {
		return
	}
	if archived {
		m.item.Extra = append(m.item.Extra[:len(m.item.Extra):len(m.item.Extra)], id.Raw()...)
	}
	x.give(e, &m, sentName)
}

// archivedAs is the element with the id that the message's record has from the archive.
func archivedAs(e *mux.Event) (mux.Child, bool) {
	id := e.Item.Record.Archived(e.Account)
	if id == "" {
		return mux.Child{}, false
	}
	b := xmlwrite.AppendAttrValue([]byte("<stanza-id xmlns='"+nsStanzaID+"' id='"), id)
	b = xmlwrite.AppendAttrValue(append(b, "' by='"...), e.Account.String())
	return mux.RawChild(xml.Name{Space: nsStanzaID, Local: "stanza-id"}, string(append(b, "'/>"...))), true
}

// Sent copies a message to the sessions of the account whose turn it is, as one that
// the account has sent: for gateways, whose users may speak through the other
// network too. s is from the account and complete, with the archive's stanza-id if
// there is one; it is not sent anywhere else. It reports to how many sessions the
// copy went.
func (x *Extension) Sent(_ context.Context, e *mux.Event, s *mux.Stanza) int {
	if s.Kind() != mux.Message || s.From().Bare() != e.Account {
		return 0
	}
	m := message{item: mux.Item{Stanza: s}, way: outgoing, peer: s.To(), self: s.From()}
	if !x.eligible(e, &m, false) {
		return 0
	}
	return x.give(e, &m, sentName)
}

// received copies what has arrived for the account to those whom the router did not
// give it (XEP-0280 §7). For what the account sends to itself the copies say sent.
func (x *Extension) received(_ context.Context, e *mux.Event) {
	switch {
	case len(e.Sessions()) == 1 && len(e.Targets) == 1:
		return // as most of the time: there is nobody else
	case len(e.Targets) == 0 && e.Stanza.Type() != "error":
		return // whoever keeps it will give it to those who come next, once
	}
	m := x.at(e, incoming)
	name := receivedName
	if m.peer.Bare() == e.Account {
		if m.peer == m.self {
			return // from a session to itself
		}
		name = sentName
		if e.Stanza.Type() != "error" {
			m = x.at(e, outgoing)
		}
	}
	if !x.eligible(e, &m, m.item.Record.Archived(e.Account) != "") {
		return
	}
	m.record = e.Item.Record
	x.give(e, &m, name)
}

// ignored copies errors that the router will ignore, because the session that they
// are for has gone (RFC 6121 §8.5.3.2.1): the others have a copy of the message that
// failed.
func (x *Extension) ignored(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Stanza.Type() != "error" {
		return mux.Pass, nil
	}
	m := x.at(e, incoming)
	for _, s := range e.Sessions() {
		if s.JID() == m.self && s.State() <= mux.Hibernating {
			return mux.Pass, nil
		}
	}
	if m.peer.Bare() != e.Account && x.eligible(e, &m, false) {
		x.give(e, &m, receivedName)
	}
	return mux.Pass, nil
}

var (
	sentName     = xml.Name{Space: NS, Local: "sent"}
	receivedName = xml.Name{Space: NS, Local: "received"}
)

// give puts one copy into all sessions that are to have it, and reports how many
// took it.
func (x *Extension) give(e *mux.Event, m *message, name xml.Name) int {
	all := e.Sessions()
	var few [8]*mux.Session
	to := few[:0]
	if len(all) > len(few) {
		to = make([]*mux.Session, 0, len(all))
	}
	for _, s := range all {
		if x.wants(e, s, m) {
			to = append(to, s)
		}
	}
	if len(to) == 0 {
		return 0
	}
	return e.Deliver(wrap(e.Account, m, name), to...)
}

// wants reports whether a session is to get a copy.
func (x *Extension) wants(e *mux.Event, s *mux.Session, m *message) bool {
	switch {
	case !x.Enabled(s) || x.opt.AvailableOnly && !s.Available():
		return false
	case s.JID() == m.item.Stanza.From():
		return false // its client has sent it
	}
	for _, t := range e.Targets {
		if t == s {
			return false
		}
	}
	if m.way == outgoing && m.room {
		// XEP-0280 §6.1: those that share the name in the room.
		return x.opt.Occupant(s, m.peer.Bare()) == x.occupant(e, m.self, m.peer)
	}
	return true
}

// wrap makes the one copy that all recipients share: only the address differs.
func wrap(account mux.Address, m *message, name xml.Name) mux.Item {
	s := m.item.Stanza
	if m.item.Recipient() != s.To() {
		s = s.WithTo(m.item.Recipient())
	}
	b := make([]byte, 0, s.Size()+len(m.item.Extra)+256)
	b = append(append(append(b, '<'), name.Local...), " xmlns='"+NS+"'><forwarded xmlns='urn:xmpp:forward:0'>"...)
	b = m.item.Append(b, mux.NSClient) // XEP-0297 §3.2: with its namespace
	b = append(append(append(b, "</forwarded></"...), name.Local...), '>')
	return mux.Item{
		Stanza: mux.Make(mux.Head{Kind: mux.Message, Type: s.Type(), From: account}, mux.RawChild(name, string(b))),
		Flags:  mux.Copy,
		At:     m.item.At,
		Inner:  s,
		Record: m.record,
	}
}
