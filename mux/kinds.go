package mux

// Kind is what a top-level element is. Kinds are bits, so that a registration
// can name several.
type Kind uint8

// The kinds. A nonza is a top-level element that is no stanza (XEP-0360): it has
// no routing and no reply of its own.
const (
	Message Kind = 1 << iota
	Presence
	IQ
	Nonza

	AnyStanza = Message | Presence | IQ
)

// String names the kind as its element is named.
func (k Kind) String() string {
	switch k {
	case Message:
		return "message"
	case Presence:
		return "presence"
	case IQ:
		return "iq"
	case Nonza:
		return "nonza"
	case AnyStanza:
		return "stanza"
	}
	s := ""
	for _, b := range []Kind{Message, Presence, IQ, Nonza} {
		if k&b != 0 {
			if s != "" {
				s += "|"
			}
			s += b.String()
		}
	}
	return s
}

// Point is a place on a stanza's way.
type Point uint8

const (
	// FromPeer is passed by a client's own stanza only, in its account's turn,
	// before anything else happens to it.
	FromPeer Point = iota
	// FromAccount is passed by whatever leaves an account, whoever made it.
	FromAccount
	// ToAccount is passed by whatever arrives for an account, in its turn,
	// before it is decided which sessions get it. Observers see Targets.
	ToAccount
	points
)

// String names the point.
func (p Point) String() string {
	switch p {
	case FromPeer:
		return "FromPeer"
	case FromAccount:
		return "FromAccount"
	case ToAccount:
		return "ToAccount"
	}
	return "Point(?)"
}

// Scope says to which addresses an IQ handler answers.
type Scope uint8

const (
	// AtHost: addressed to a served domain.
	AtHost Scope = iota
	// AtSelf: from an account to its own bare JID or without an address.
	AtSelf
	// AtAccount: to the bare JID of an account, from anyone else; also for
	// accounts that do not exist, so that the answer need not differ.
	AtAccount
	scopes
)

// String names the scope.
func (s Scope) String() string {
	switch s {
	case AtHost:
		return "AtHost"
	case AtSelf:
		return "AtSelf"
	case AtAccount:
		return "AtAccount"
	}
	return "Scope(?)"
}

// Layer is a place in a session's chain of sinks: outbound it is router, Hold,
// Track, wire; inbound the reverse.
type Layer uint8

const (
	// Hold may keep stanzas back for a while (XEP-0352).
	Hold Layer = iota
	// Track counts and keeps what was not acknowledged (XEP-0198).
	Track
	layers
)

// String names the layer.
func (l Layer) String() string {
	if l == Hold {
		return "Hold"
	}
	return "Track"
}

// Verdict is what a handler decided.
type Verdict uint8

const (
	// Pass: go on with the (perhaps replaced) stanza.
	Pass Verdict = iota
	// Done: the stanza ends here; the handler has dealt with it or it is to be
	// dropped without an answer. For an Undelivered handler: taken.
	Done
)

// Role is what a stream's peer is.
type Role uint8

const (
	Client    Role = iota // a client of ours
	Server                // another server
	Component             // an external component (XEP-0114)
	Upstream              // our server, when the mux runs in a client
)

// Flags mark how an item came to be.
type Flags uint16

const (
	Copy          Flags = 1 << iota // made by the server of a message that went elsewhere too
	Replay                          // was sent before, to a session that has ended or a stream that broke
	Offline                         // from an offline store
	ArchiveResult                   // answer to an archive query
	Service                         // made by the server, no peer's stanza
)

// String names the role.
func (r Role) String() string {
	switch r {
	case Client:
		return "client"
	case Server:
		return "server"
	case Component:
		return "component"
	}
	return "upstream"
}
