package main

import (
	"context"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/smacks"
)

// Numbers implements control.Accounts.
func (o *operatorAccounts) Numbers(context.Context) ([]control.Number, error) {
	if o.mux == nil {
		return nil, control.ErrNotRunning
	}
	sessions := 0
	for range o.mux.AllSessions() {
		sessions++
	}
	return numbersOf(sessions, o.streams.Stats(), o.states.Stats()), nil
}

// numbersOf are what the command status prints: how it is now, then what has happened
// since the server was started.
func numbersOf(sessions int, sm smacks.Stats, state csi.Stats) []control.Number {
	n := func(name string, value int64) control.Number { return control.Number{Name: name, Value: value} }
	return []control.Number{
		n("sessions", int64(sessions)),
		n("of them with stream management", int64(sm.Managed)),
		n("of them waiting for their clients to come back", int64(sm.Waiting)),
		n("of them with a client that nobody looks at", int64(state.Inactive)),
		n("stanzas that clients have not acknowledged", int64(sm.Queued)),
		n("octets of those", int64(sm.Bytes)),
		n("stanzas held until somebody looks", int64(state.Holding)),
		n("stanzas acknowledged since the start", sm.Acked),
		n("sessions there were at the start", sm.Restored),
		n("resumptions since then", sm.Resumed),
		n("refused: no such session any more, or none of that client", sm.Refused.Unknown),
		n("refused: counters that cannot be", sm.Refused.WrongCounter),
		n("refused: again and again without getting on", sm.Refused.Stalled),
		n("refused: the old connection was busy for too long", sm.Refused.Busy),
		n("refused: malformed", sm.Refused.Malformed),
		n("connections given up, with no acknowledgement in time", sm.Timeouts),
		n("sessions ended: too much to keep", sm.Overflowed),
		n("sessions ended: too many of an account waited", sm.Crowded),
	}
}
