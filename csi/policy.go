package csi

import "github.com/propolis-im/propolis/mux"

// Action is what is done with a stanza for an inactive client.
type Action uint8

// The actions.
const (
	// Send sends it at once, behind what is held.
	Send Action = iota
	// Hold holds it back until there is a reason to send what is held.
	Hold
	// Drop forgets it. What the default rules would send at once is held instead: no
	// policy can lose a message.
	Drop
)

// String names the action.
func (a Action) String() string { return [...]string{"send", "hold", "drop"}[a] }

// Key names what a stanza is about, so that a newer one can take the place of an
// older one. The zero Key is about nothing.
type Key struct {
	What  string      // the kind of thing
	From  mux.Address // whose it is
	Scope string      // where it is: a thread, a node
	ID    string      // which one of them
}

// Decision is what a policy says about a stanza.
type Decision struct {
	Action Action
	// Key, with Hold: the stanza takes the place of one that is held under the same
	// key, and stands where it came itself. With Send: what is held under the key is
	// out of date and forgotten.
	Key Key
	// Fence, with Hold, says that the stanza is about all that has the What, From and
	// Scope of Key, such as the deletion of a node: what was held before is not
	// replaced by what comes after.
	Fence bool
}

// Policy decides about the messages and presence that are for inactive clients.
// Classify is called under a session's lock, must not wait or change the item, and may
// be called concurrently. The item tells for whom it is ([mux.Item.Recipient]) and
// whether it is a copy of a message (mux.Copy; then Inner is that message).
//
// Requests and answers are never held, and neither are stream-level elements, messages
// of the offline store, results from an archive, and what is delivered once more: a
// policy is not asked about them.
type Policy interface {
	Classify(it *mux.Item) Decision
}

// PolicyFunc is a function as a [Policy].
type PolicyFunc func(it *mux.Item) Decision

// Classify implements [Policy].
func (f PolicyFunc) Classify(it *mux.Item) Decision { return f(it) }

// never are the marks of what is not held whatever the policy says.
const never = mux.Offline | mux.Replay | mux.ArchiveResult

// defaults are the rules that say what must not be lost.
var defaults Rules

// lasting reports whether it is more than what the default rules hold, which may get
// lost (smacks CSI-14).
func lasting(it *mux.Item) bool {
	return it.Stanza.Kind() == mux.Message && defaults.Classify(it).Action == Send
}

// decide asks the policy, where there is anything to ask about.
func (x *Extension) decide(it *mux.Item) Decision {
	if it.Stanza.Kind()&(mux.Message|mux.Presence) == 0 || it.Flags&never != 0 {
		return Decision{}
	}
	d := x.opt.Policy.Classify(it)
	if d.Action == Drop && lasting(it) {
		return Decision{Action: Hold}
	}
	return d
}

// senderOf is whom a stanza comes from as far as order matters: the bare address; of a
// copy that of the message in it.
func senderOf(it *mux.Item) mux.Address {
	from := it.Stanza.From()
	if it.Flags&mux.Copy != 0 && it.Inner != nil {
		from = it.Inner.From()
	}
	if from.IsZero() {
		from = it.Recipient() // the account itself
	}
	return from.Bare()
}
