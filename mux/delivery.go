package mux

import "encoding/xml"

// presenceState is what the delivery table distinguishes of an account (core-im
// §7).
type presenceState uint8

const (
	noAccount  presenceState = iota // N: does not exist
	noResource                      // Z: exists, no available resource
	negative                        // G: all available resources have a negative priority
	reachable                       // P: a resource with a priority of 0 or more
)

// action is what the delivery table decides.
type action uint8

const (
	actIgnore    action = iota // drop without an answer
	actRefuse                  // service-unavailable
	actResource                // to the resource addressed
	actTop                     // to those that share the highest priority of 0 or more
	actNonNeg                  // to all with a priority of 0 or more
	actAvailable               // to all available ones
	actKeep                    // to nobody; the Undelivered handlers are asked
	actAnswer                  // the server answers for the account
)

// String names the action as tests and Describe print it.
func (a action) String() string {
	return [...]string{"ignore", "refuse", "resource", "top", "non-negative", "available", "keep", "answer"}[a]
}

// decide is the delivery decision table (RFC 6121 §8.5, RFC 6120 §10.5). full
// says that the address has a resource, found that a session has it.
func decide(k Kind, typ string, full, found bool, st presenceState) action {
	switch k {
	case Message:
		return decideMessage(typ, full, found, st)
	case Presence:
		return decidePresence(typ, full, found, st)
	case IQ:
		return decideIQ(typ, full, found)
	}
	return actIgnore
}

func decideMessage(typ string, full, found bool, st presenceState) action {
	if full && found {
		return actResource // DL-20 to DL-24
	}
	switch typ {
	case "error":
		return actIgnore // DL-5, DL-24
	case "groupchat":
		return actRefuse // DL-3, DL-22
	case "headline":
		if full || st != reachable {
			return actIgnore // DL-4, DL-23
		}
		return actNonNeg
	case "chat":
	default: // normal; an unknown type counts as such (RFC 6121 §5.2.2)
		if full {
			return actRefuse // DL-20, DL-32
		}
	}
	switch st { // DL-1, DL-2, DL-21
	case noAccount:
		return actRefuse
	case reachable:
		return actTop
	}
	return actKeep
}

func decidePresence(typ string, full, found bool, st presenceState) action {
	switch {
	case typ == "error" && full && found:
		return actResource
	case typ != "" && typ != "unavailable":
		return actIgnore // DL-7 to DL-9, DL-26, DL-27: whoever knows subscriptions has dealt with it
	case full && found:
		return actResource // DL-25
	case full:
		return actIgnore
	case st == noAccount || st == noResource:
		return actIgnore // DL-6
	}
	return actAvailable
}

func decideIQ(typ string, full, found bool) action {
	request := typ == "get" || typ == "set"
	switch {
	case full && found:
		return actResource // DL-28, DL-29
	case !request:
		return actIgnore // DL-11, DL-29: not one of our own requests
	case full:
		return actRefuse // DL-28
	}
	return actAnswer // DL-10
}

// Refused reports, at [ToAccount], that the delivery table refuses the stanza of
// the event as it is now, whatever the Undelivered handlers say: no session will
// get it and its sender gets an error, if it may have one (RFC 6121 §8.5).
func (e *Event) Refused() bool {
	to := e.Item.Recipient()
	st := noAccount
	if !e.Unknown {
		st = stateOf(e.acct.list())
	}
	full := !to.IsBare()
	addressed := (*Session)(nil)
	if full {
		addressed = e.acct.find(to)
	}
	return decide(e.Stanza.kind, e.Stanza.typ, full, addressed != nil && addressed.open(), st) == actRefuse
}

// stateOf says where an existing account stands.
func stateOf(sessions []*Session) presenceState {
	st := noResource
	for _, s := range sessions {
		p := s.Presence()
		switch {
		case p == nil || !p.Available || !s.open():
		case p.Priority >= 0:
			return reachable
		default:
			st = negative
		}
	}
	return st
}

// choose appends the sessions that an action means.
func choose(dst []*Session, a action, sessions []*Session, addressed *Session) []*Session {
	switch a {
	case actResource:
		return append(dst, addressed)
	case actTop:
		return chooseTop(dst, sessions)
	case actNonNeg, actAvailable:
		for _, s := range sessions {
			if p := s.Presence(); p != nil && p.Available && s.open() && (a == actAvailable || p.Priority >= 0) {
				dst = append(dst, s)
			}
		}
	}
	return dst
}

func chooseTop(dst []*Session, sessions []*Session) []*Session {
	best := -1
	for _, s := range sessions {
		if p := s.Presence(); p != nil && p.Available && s.open() && p.Priority > best {
			best = p.Priority
		}
	}
	if best < 0 {
		return dst
	}
	live := false
	for _, s := range sessions {
		if p := s.Presence(); p != nil && p.Available && s.open() && p.Priority == best {
			dst = append(dst, s)
			live = live || s.Stream() != nil
		}
	}
	if live {
		return dst
	}
	// DL-35: if none of them is connected the others that are get it too.
	for _, s := range sessions {
		if p := s.Presence(); p != nil && p.Available && s.open() && p.Priority >= 0 && p.Priority != best && s.Stream() != nil {
			dst = append(dst, s)
		}
	}
	return dst
}

// eventName is in notifications of a publish-subscribe service (XEP-0060 §7.1.2),
// which are of no use later.
var eventName = xml.Name{Space: "http://jabber.org/protocol/pubsub#event", Local: "event"}

// passing reports whether a message that nobody takes may be dropped without an
// error: one that carries nothing but chat states, markers and hints (XEP-0085,
// XEP-0333, XEP-0334).
func passing(s *Stanza) bool {
	for _, c := range s.kids {
		switch c.Name.Space {
		case "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0", "urn:xmpp:hints":
		default:
			if c.Name.Local != "thread" {
				return false
			}
		}
	}
	return len(s.kids) > 0
}
