package smacks

import "time"

// AckPolicy says when a client asks its server to acknowledge. AskEach, AskEvery,
// AskWithin, AskNever and AskFirst make some.
type AckPolicy interface {
	// Ask returns how long from now the server need not be asked: 0 for at once, below
	// zero if u is no reason to ask. An earlier wish is not taken back by a later one. It
	// is called behind each stanza that was sent, by who sends it, and behind each
	// acknowledgement that leaves some, by who reads; not while a question is open. No
	// lock of the client is held, but it must not wait, nor write to the session.
	Ask(u Unasked) time.Duration
}

// Unasked is what an AckPolicy decides by.
type Unasked struct {
	// Count is how many stanzas were sent behind the last question. It is 0 if the server
	// has answered and not acknowledged all that it was asked about.
	Count int
	// Age is how long ago the first of these was sent.
	Age time.Duration
	// Unacked is how many stanzas are not acknowledged, and Last the last of them.
	Unacked int
	Last    Pending
}

type policyFunc func(u Unasked) time.Duration

// Ask implements [AckPolicy].
func (f policyFunc) Ask(u Unasked) time.Duration { return f(u) }

// AskEach asks behind each stanza. That is much traffic.
func AskEach() AckPolicy { return AskEvery(1) }

// AskEvery asks behind every n stanzas.
func AskEvery(n int) AckPolicy {
	return policyFunc(func(u Unasked) time.Duration {
		if u.Count < max(n, 1) {
			return -1
		}
		return 0
	})
}

// AskWithin asks when a stanza was sent so long ago.
func AskWithin(d time.Duration) AckPolicy {
	return policyFunc(func(u Unasked) time.Duration { return max(d-u.Age, 0) })
}

// AskNever leaves it to [Client.RequestAck], and to when it has to be.
func AskNever() AckPolicy {
	return policyFunc(func(Unasked) time.Duration { return -1 })
}

// AskFirst asks when the first of several would.
func AskFirst(policies ...AckPolicy) AckPolicy {
	return policyFunc(func(u Unasked) time.Duration {
		first := time.Duration(-1)
		for _, p := range policies {
			if d := p.Ask(u); d >= 0 && (first < 0 || d < first) {
				first = d
			}
		}
		return first
	})
}
