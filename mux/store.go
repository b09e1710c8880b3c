package mux

import (
	"context"
	"time"
)

// Tx is the open transaction of the [Committer] that applies a [Write]; its
// dynamic type is the Committer's own affair. Stores that share a Committer know
// it; in-memory stores ignore it.
type Tx any

// Write is one durable change, made by a store and handed over with
// [Work.Write]. It is applied later, on the Committer's goroutine, after all that
// was submitted before; it must be safe to apply again when its transaction was
// rolled back. An error fails the whole batch, so a Write returns one only when
// the store is broken.
type Write func(ctx context.Context, tx Tx) error

// Committer makes writes durable, many at a time. Implementations must allow
// concurrent calls.
type Committer interface {
	// Submit puts the writes, in one piece and in order, into the open batch and
	// returns its number. Numbers start at 1 and never decrease. It must not wait
	// for the store and may not call the function given to Notify before it has
	// returned.
	Submit(writes []Write) (batch uint64)
	// Notify sets the function that is told, in order of the numbers and one call
	// at a time, that batches have ended: durable if err is nil, else not there at
	// all. A call speaks for every number up to batch that none has spoken for.
	// Notify is called once, before the first Submit.
	Notify(f func(batch uint64, err error))
}

// SavedSession is what is kept of a session that can be resumed after a restart.
type SavedSession struct {
	ID    string // SessionID in text form
	JID   Address
	Until time.Time // end of its window; zero while it is live
	Data  []byte    // opaque to the store
}

// SessionStore keeps sessions across restarts.
type SessionStore interface {
	// Save keeps s in place of what was kept under its ID.
	Save(s SavedSession) Write
	// Delete forgets a session; unknown ones are no error.
	Delete(id string) Write
	// Load reads all saved sessions, when the mux starts.
	Load(ctx context.Context) ([]SavedSession, error)
}
