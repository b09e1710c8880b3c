package pep

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Node is a node of an account.
type Node struct {
	Name    string
	Config  Config
	Created time.Time // may be kept to the microsecond
	Creator mux.Address
	// Seq is the highest number of an item that the node ever had, and at least
	// that of when it came to be.
	Seq uint64
	// Bytes are those of all items, as [Entry.Size] counts them.
	Bytes int64
	Peers []Peer
}

// Peer is who has to do with a node: an affiliation, of a bare address, a
// subscription, or both.
type Peer struct {
	JID          mux.Address
	Affiliation  Affiliation
	Subscription SubState
	// Temporary subscriptions end with the presence of the subscriber; Silent ones get
	// no events for now (pubsub#deliver).
	Temporary, Silent bool
	// Bounces counts events that came back.
	Bounces int
}

// Affiliation is what somebody may do at a node (XEP-0060 §4.1). The owner of the
// account is the owner of its nodes without being listed.
type Affiliation uint8

// The affiliations.
const (
	NoAffiliation Affiliation = iota
	Member
	Publisher
	Outcast
)

// SubState is the state of a subscription (XEP-0060 §4.2).
type SubState uint8

// The states.
const (
	NotSubscribed SubState = iota
	Pending
	Subscribed
)

// Entry is what is known of an item without what it says.
type Entry struct {
	ID        string
	Seq       uint64 // the order of publication in the account
	At        time.Time
	Publisher mux.Address // bare
	Size      int         // of the payload, in octets
}

// Item is an item with its payload, one element that declares its namespaces,
// empty for none.
type Item struct {
	Entry
	Payload string
}

// Head is the last item of a node, for a contact.
type Head struct {
	Owner  mux.Address
	Node   string
	Config Config
	// Peer is what the contact's bare address has to do with the node.
	Peer Peer
	Item Item
}

// Change is what happens to the items of a node, in this order.
type Change struct {
	All    bool     // all items go
	Remove []string // items that go
	Put    []Item   // in place of those with their IDs
	Seq    uint64   // of the node, from then on
	Bytes  int64    // likewise
}

// Store keeps nodes. Implementations must allow concurrent calls; writes of one
// account are applied in order. Accounts are bare addresses.
type Store interface {
	Nodes
	Items
	// Load reads the nodes of an account with whoever has to do with them, in the order
	// of their names.
	Load(ctx context.Context, account mux.Address) ([]Node, error)
	// Heads reads the last items of nodes of several accounts, as far as there are
	// any and the nodes send them with presence. Its cost must not be that of owners
	// times nodes. Items that have expired are for the caller to leave out.
	Heads(ctx context.Context, contact mux.Address, owners []mux.Address, nodes []string) ([]Head, error)
	// RemoveAccount removes the nodes of an account.
	RemoveAccount(account mux.Address) mux.Write
}

// Nodes is the part of a [Store] about nodes.
type Nodes interface {
	// PutNode makes a node or gives it another configuration. Its peers, and Seq and
	// Bytes of one that is there already, are not touched.
	PutNode(account mux.Address, n Node) mux.Write
	// SetPeer keeps what somebody has to do with a node; without affiliation and
	// subscription nothing is kept.
	SetPeer(account mux.Address, node string, p Peer) mux.Write
	// DropNode removes a node with all that belongs to it.
	DropNode(account mux.Address, node string) mux.Write
	// Involved reads the accounts with nodes that a bare address, or its full ones, has
	// to do with.
	Involved(ctx context.Context, peer mux.Address) ([]mux.Address, error)
}

// Items is the part of a [Store] about items.
type Items interface {
	// Index reads what is known of all items of a node, in the order of their Seq.
	Index(ctx context.Context, account mux.Address, node string) ([]Entry, error)
	// Items reads items by their IDs, in any order; those that are not there are left
	// out.
	Items(ctx context.Context, account mux.Address, node string, ids []string) ([]Item, error)
	// Change changes the items of a node that exists.
	Change(account mux.Address, node string, c Change) mux.Write
}
