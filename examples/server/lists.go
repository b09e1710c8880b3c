package main

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/scram"
)

// lists remembers for each stream for which hashes mechanisms are listed: what a client
// was told must be what its login is checked with (XEP-0474).
type lists struct {
	census *scram.Census
	told   mux.StreamKey[told]
}

// told is what a stream was told.
type told struct {
	domain string
	hashes []scram.Hash
}

// Name implements mux.Extension.
func (*lists) Name() string { return "sasl lists" }

// Register implements mux.Extension.
func (l *lists) Register(r *mux.Registry) error {
	l.told = mux.StreamSlot[told](r)
	return nil
}

// maxCount bounds how long a stream waits for keys to be counted.
const maxCount = 5 * time.Second

// hashes are those that are listed on a stream.
func (l *lists) hashes(st *mux.Stream) []scram.Hash {
	t := l.told.Of(st)
	if d := st.Domain(); t.domain != d { // never empty once it is known
		ctx, done := context.WithTimeout(context.Background(), maxCount)
		defer done()
		t.domain, t.hashes = d, l.census.Hashes(ctx, d)
	}
	return t.hashes
}
