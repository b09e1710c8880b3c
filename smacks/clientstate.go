package smacks

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"mellium.im/xmpp/jid"
)

// Pending is a stanza that a client has sent, or will when it is connected, and
// that the server has not acknowledged.
type Pending struct {
	ID   string // the stanza's attribute
	Kind string // message, presence or iq
	Type string // the stanza's attribute
	Raw  []byte // the whole element
	// Since is when it was to be sent first, Attempts how often it was.
	Since    time.Time
	Attempts int

	done chan<- error // of who waits for it, nil for nobody
}

// resolve tells who waits for it.
func (p *Pending) resolve(err error) {
	if p.done != nil {
		select {
		case p.done <- err:
		default: // a copy has
		}
		p.done = nil
	}
}

// ClientState is what a client needs to go on with a session in another process.
// What is saved before a stanza is handled has the stanza come again; save it
// after, therefore, and expect to see some stanzas twice after a crash.
//
// Who waits for the answer to a request does not survive its process. In the next one
// the answer is nobody's, and the session's handler gets it, as an iq of type result or
// error.
type ClientState struct {
	JID      jid.JID       // of the session, with its resource
	Token    string        // names the session to the server; a secret; empty if it cannot be resumed
	Max      time.Duration // how long the server waits, as far as it said; a hint
	Location string        // where the server would like to be reached, if it said
	Features []string      // namespaces of what the server has offered
	At       time.Time     // when the connection was last known to be there
	In       uint32        // stanzas of the server that are handled
	Acked    uint32        // stanzas of ours that it has acknowledged
	Unacked  []Pending     // and those that it has not, oldest first
}

// Out is how many stanzas were sent.
func (s *ClientState) Out() uint32 { return s.Acked + uint32(len(s.Unacked)) }

// unsent reports whether h covers stanzas that no connection was there for.
func (s *ClientState) unsent(h uint32) bool {
	n := h - s.Acked
	return n > 0 && uint64(n) <= uint64(len(s.Unacked)) && s.Unacked[n-1].Attempts == 0
}

// Expired reports whether the server may have stopped waiting at that time, as far as it
// said how long it would. That is a hint, for something like what to show: servers may wait
// longer, and so a client tries to resume however late it is (smacks SM-14).
func (s *ClientState) Expired(now time.Time) bool {
	return s.Max > 0 && !s.At.IsZero() && now.After(s.At.Add(s.Max))
}

// clone is a copy that shares nothing that changes.
func (s *ClientState) clone() *ClientState {
	n := *s
	n.Unacked = unawaited(s.Unacked)
	return &n
}

// unawaited is a copy of a list, for somebody else.
func unawaited(list []Pending) []Pending {
	list = append([]Pending(nil), list...)
	for i := range list {
		list[i].done = nil
	}
	return list
}

// savedClient is the form in which a state is kept.
type savedClient struct {
	Version  int           `json:"v"`
	JID      string        `json:"jid"`
	Token    string        `json:"token"`
	Max      time.Duration `json:"max,omitempty"`
	Location string        `json:"location,omitempty"`
	Features []string      `json:"features,omitempty"`
	At       time.Time     `json:"at,omitzero"`
	In       uint32        `json:"in"`
	Acked    uint32        `json:"acked"`
	Unacked  []Pending     `json:"unacked,omitempty"`
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (s *ClientState) MarshalBinary() ([]byte, error) {
	return json.Marshal(savedClient{Version: 1, JID: s.JID.String(), Token: s.Token, Max: s.Max, Location: s.Location,
		Features: s.Features, At: s.At, In: s.In, Acked: s.Acked, Unacked: s.Unacked})
}

var errClientState = errors.New("smacks: saved state of a client cannot be read")

// UnmarshalBinary implements [encoding.BinaryUnmarshaler].
func (s *ClientState) UnmarshalBinary(data []byte) error {
	var d savedClient
	if err := json.Unmarshal(data, &d); err != nil || d.Version != 1 {
		return errClientState
	}
	j, err := jid.Parse(d.JID)
	if err != nil {
		return errClientState
	}
	*s = ClientState{JID: j, Token: d.Token, Max: d.Max, Location: d.Location, Features: d.Features, At: d.At,
		In: d.In, Acked: d.Acked, Unacked: d.Unacked}
	return nil
}

// stanzaID is a new name for a stanza.
func stanzaID() string { return rand.Text() }
