package main

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/server"
)

// quietAfter is how long nothing may happen before memory is given back.
const quietAfter = 2 * time.Second

// activity counts what happens, to give memory back to the system when nothing
// does: logins leave much behind that the collector, which runs by allocation,
// would not notice for a long time.
type activity struct{ events atomic.Int64 }

var _ server.Counters = (*activity)(nil)

// Connection implements server.Counters.
func (a *activity) Connection(int) { a.events.Add(1) }

// Refused implements server.Counters.
func (a *activity) Refused(string) {}

// Session implements server.Counters.
func (a *activity) Session(int) { a.events.Add(1) }

// Stanza implements server.Counters.
func (a *activity) Stanza(mux.Kind) { a.events.Add(1) }

// collectWhenQuiet collects once in each quiet time.
func (a *activity) collectWhenQuiet(ctx context.Context) {
	tick := time.NewTicker(quietAfter)
	defer tick.Stop()
	var seen, collected int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := a.events.Load()
		if now == seen && now != collected {
			debug.FreeOSMemory()
			collected = now
		}
		seen = now
	}
}
