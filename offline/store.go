package offline

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Message is one that waits for its account.
type Message struct {
	// Seq names the message in the store; the store gives it. It grows from message
	// to message of an account and is never used again.
	Seq int64
	// At is when the server took the message, kept to the microsecond.
	At time.Time
	// ID is what the account's archive calls the message; then Item is empty.
	ID string
	// Item is the message as [mux.Item.AppendSaved] writes it. It must not be changed
	// once it was given away.
	Item []byte
}

// size is what a message counts against the limit in octets.
func (m *Message) size() int { return len(m.Item) + len(m.ID) + 32 }

// Usage is what is stored for an account.
type Usage struct {
	Messages int
	Bytes    int // of Item and ID, and 32 for each message
}

// Removal says what to remove of an account's messages.
type Removal struct {
	// All removes everything.
	All bool
	// References removes those that are in the archive.
	References bool
	// Seqs removes those with these names; others are no error.
	Seqs []int64
}

// Store keeps messages. Accounts are given by their bare addresses. Implementations
// must allow concurrent calls; writes of one account are applied in order. Reads see
// all writes that were submitted before, and may wait; their errors are for failures.
type Store interface {
	// Add adds a message; it gives it a Seq.
	Add(account mux.Address, m Message) mux.Write
	// Load reads up to limit messages in the order of At and, within that, Seq, those
	// behind after only; the zero Message is before all. It stops early behind the
	// message with which they have as many octets as given. more says whether there
	// are further ones.
	Load(ctx context.Context, account mux.Address, after Message, limit, octets int) (list []Message, more bool, err error)
	// Usage tells what there is.
	Usage(ctx context.Context, account mux.Address) (Usage, error)
	// Remove removes messages.
	Remove(account mux.Address, r Removal) mux.Write
}
