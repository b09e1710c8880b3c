package smacks

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Store keeps what sessions have to know to be resumed after a restart. Sessions
// are named by the text of their ID. Its writes are for the [mux.Committer] that
// the mux has, together with those of its [mux.SessionStore].
type Store interface {
	// Append keeps an entry, in place of those with its Row or Old.
	Append(session string, e Entry) mux.Write
	// Note keeps counters. Those that are behind what was noted before say nothing:
	// notes may come out of order.
	Note(session string, c Counters) mux.Write
	// Arrived notes, for the entries of all sessions with one of these tags, that a
	// copy of theirs has reached a client.
	Arrived(tags []string) mux.Write
	// End forgets a session but for the last word about it, which it keeps until
	// that's time; nil keeps nothing.
	End(session string, last *Last) mux.Write
	// Load reads everything, when the mux starts. What is past its time is left out
	// and forgotten.
	Load(ctx context.Context, now time.Time) ([]Saved, error)
}

// Entry is a stanza that a session has sent, or will.
type Entry struct {
	Row    uint64 // orders the entries of a session
	Old    uint64 // the row it had before, 0 if it had none; not kept
	Number uint32 // in the order of what was sent, see Sent
	Sent   bool   // it has a number
	Item   []byte // as [mux.Item.AppendSaved] wrote it
	// Tag is the same for copies of one message ([mux.Record.Tag]), empty for what
	// has none; Arrived says that one of them has reached a client, so that nothing
	// has to be done about the others if they do not.
	Tag     string
	Arrived bool
}

// Counters are how far a session is. All count modulo their size.
type Counters struct {
	// Handled is how many stanzas of the client are handled.
	Handled uint32
	// Acked is how many of ours the client has acknowledged; entries up to and
	// including row Through are forgotten.
	Acked   uint32
	Through uint64
}

// Last is what is told about a session that has ended (XEP-0198 §5).
type Last struct {
	Account mux.Address
	Secret  [32]byte // hash of the token
	H       uint32
	Until   time.Time
}

// Saved is all that is kept of one session.
type Saved struct {
	Session  string
	Counters Counters
	Entries  []Entry // in order of their rows
	Last     *Last   // nil unless it has ended
}
