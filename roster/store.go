package roster

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Subscription is the subscription state of an item as the roster shows it
// (RFC 6121 §2.1.2.5). The zero value is none.
type Subscription uint8

// The states. They are bits: Both is To and From together.
const (
	None Subscription = 0
	To   Subscription = 1 // the account receives the contact's presence
	From Subscription = 2 // the contact receives the account's presence
	Both Subscription = 3
)

// Item is what an account keeps of one contact.
type Item struct {
	JID          mux.Address // bare
	Name         string
	Groups       []string // without duplicates, in the order the client gave
	Subscription Subscription
	Ask          bool // pending out: a request of ours is not answered
	// Asked is when that request was last sent, zero without one or if that is not
	// known. It may be kept to the microsecond.
	Asked    time.Time
	Approved bool // approved in advance (RFC 6121 §3.4)
	// In is the contact's unanswered subscription request, the whole stanza as
	// text, empty if there is none. An item that is only this is not part of the
	// roster that clients see (RFC 6121 §3.1.3).
	In string
	// Listed says that the item is part of the roster that clients see.
	Listed bool
	// Ver is the version of the roster at which the item last changed.
	Ver uint64
}

// Roster is all that is kept for one account.
type Roster struct {
	Items []Item
	// Removed are the contacts removed last, with the version of their removal,
	// oldest first (RFC 6121 §2.6.3); at most 500.
	Removed []Tombstone
	// Ver is the version of the roster, 0 for one that never changed.
	Ver uint64
	// Epoch differs between stores, also for one restored from a backup, so that
	// version texts never match a roster they do not belong to.
	Epoch string
}

// Tombstone remembers a removed contact.
type Tombstone struct {
	JID mux.Address
	Ver uint64
}

// Store keeps rosters. Implementations must allow concurrent calls; writes of
// one account are applied in order.
type Store interface {
	// Load reads the whole roster of an account, in one read. An account without
	// one has an empty roster, not an error.
	Load(ctx context.Context, account mux.Address) (Roster, error)
	// Put keeps an item in place of what was kept for its contact, and the version
	// of the roster, which is Item.Ver. It removes a tombstone of the contact.
	Put(account mux.Address, i Item) mux.Write
	// Delete removes an item. With ver not 0 a tombstone with that version stays,
	// which becomes the version of the roster.
	Delete(account, contact mux.Address, ver uint64) mux.Write
	// RemoveAccount removes everything of an account.
	RemoveAccount(account mux.Address) mux.Write
}
