package archive

import (
	"context"
	"errors"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// ErrNotFound is returned by [Store.Page] if an ID that the query names is not in
// the archive.
var ErrNotFound = errors.New("archive: no such entry")

// Entry is one message in an archive.
type Entry struct {
	// ID names the message in this archive (XEP-0359). It is unique and never used
	// again.
	ID string
	// At is when the server took the message, kept to the microsecond.
	At time.Time
	// With is the other side, bare or full; for messages to oneself the address
	// they were sent to.
	With mux.Address
	// Stanza is the message as one element that declares its namespaces. It must
	// not be changed once it was given away.
	Stanza []byte
}

// Query asks for one page of an archive. All conditions that are not zero hold.
type Query struct {
	// With is who the messages are exchanged with: a bare address for any of its
	// resources.
	With mux.Address
	// Start and End bound the time, both inclusively.
	Start, End time.Time
	// AfterID and BeforeID bound the messages, exclusively.
	AfterID, BeforeID string
	// IDs are the messages wanted.
	IDs []string
	// UpTo is the position of the newest message that counts, as [Store.Mark] tells
	// it; 0 for all, -1 for none.
	UpTo int64

	// PageAfter and PageBefore say where the page is among the messages that the
	// conditions above leave, exclusively.
	PageAfter, PageBefore string
	// Backward wants the last messages before PageBefore, not the first after
	// PageAfter.
	Backward bool
	// Max is how many messages the page may have, and Bytes how many octets of
	// stanzas; it may have one message with more. 0 octets are without a limit, 0
	// messages are none.
	Max, Bytes int
}

// Page is what a query is answered with.
type Page struct {
	// Entries are in the order of the archive, whichever way was asked for.
	Entries []Entry
	// More says that there are further messages in the direction asked for.
	More bool
	// Count is how many messages there are on all pages, -1 if that is not known.
	Count int
	// Index is how many of them are before the first of Entries, -1 if that is not
	// known.
	Index int
}

// MaxCount is up to how many messages stores count where that needs looking at
// each.
const MaxCount = 10_000

// Removal says what to remove from an archive: at most Limit messages from its
// oldest end, which are from before Before or too many if Keep are to stay. All
// removes everything and forgets the account.
type Removal struct {
	All    bool
	Before time.Time // zero for no matter when
	Keep   int       // 0 for any number
	Limit  int
}

// Store keeps archives. Accounts are given by their bare addresses.
// Implementations must allow concurrent calls; writes of one account are applied
// in order.
//
// The messages of an archive have positions, which grow by one from message to
// message and are never used again while there are any. Their times never
// decrease: one that would is set to that of the message before.
type Store interface {
	// Append adds a message to the end of an archive.
	Append(account mux.Address, e Entry) mux.Write
	// Mark tells f the position of the newest message, 0 if there is none, when it
	// is applied: later messages are behind it. f may be called more than once, must
	// not wait, and only the last call counts.
	Mark(account mux.Address, f func(last int64)) mux.Write
	// Page reads a page. It sees all writes that were submitted before, and may
	// wait. It looks at no more messages than it has to: however large the archive,
	// a page costs about the same. The error is ErrNotFound if an ID is not there,
	// others are for failures.
	Page(ctx context.Context, account mux.Address, q Query) (Page, error)
	// Remove removes messages.
	Remove(account mux.Address, r Removal) mux.Write
}

// Lister is a [Store] that tells which accounts have archives, so that what is too
// old is removed of those too that are not in use.
type Lister interface {
	// Archives lists up to limit accounts in a fixed order, behind after, which is
	// zero for from the beginning.
	Archives(ctx context.Context, after mux.Address, limit int) ([]mux.Address, error)
}

// PrefsStore keeps what accounts want to have archived. Implementations must allow
// concurrent calls; writes of one account are applied in order.
type PrefsStore interface {
	// LoadPrefs reads what an account wants, the zero value if it has said nothing.
	// It sees all writes that were submitted before, and may wait.
	LoadPrefs(ctx context.Context, account mux.Address) (Prefs, error)
	// SetPrefs replaces it. The zero value is nothing to be kept.
	SetPrefs(account mux.Address, p Prefs) mux.Write
}
