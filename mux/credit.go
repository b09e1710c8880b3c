package mux

import "time"

// aheadBound is how many times a peer's credit may be received behind a stanza that is
// not finished: what is finished is free, but is remembered until it can be acknowledged.
const aheadBound = 64

// behind is how many of the peer's stanzas come from the first that is not finished on.
func (st *Stream) behind() int {
	if st.far != nil {
		return st.far.count.behind()
	}
	if s := st.session.Load(); s != nil {
		return s.count.behind()
	}
	return 0
}

// acquire takes credit for a stanza, waiting until there is some.
func (st *Stream) acquire(size int) error {
	count, bytes := st.m.creditOf(st.role)
	st.mu.Lock()
	defer st.mu.Unlock()
	full := func() bool {
		return !st.closed && (st.frozen || st.parting != nil || st.credit+st.promised >= count ||
			st.credit > 0 && (st.bytes+size > bytes || st.behind() >= aheadBound*count))
	}
	for full() {
		// Before waiting: what was caused so far goes out (kernel rule 2).
		st.waiting = true
		st.mu.Unlock()
		st.Flush()
		st.mu.Lock()
		for full() {
			st.calm.Wait()
		}
		st.waiting = false
	}
	if st.closed {
		return ErrClosed
	}
	st.credit++
	st.bytes += size
	return nil
}

// release gives credit back.
func (st *Stream) release(size int) {
	st.mu.Lock()
	st.credit--
	st.bytes -= size
	wake := st.waiting || st.credit == 0
	st.mu.Unlock()
	if wake {
		st.calm.Broadcast()
	}
}

// promise counts answers that are due later.
func (st *Stream) promise(n int) {
	st.mu.Lock()
	st.promised += n
	st.mu.Unlock()
	st.calm.Broadcast()
}

// Waiting reports whether the reader waits for credit: then the peer's silence
// is ours (core-im LC-30).
func (st *Stream) Waiting() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.waiting
}

// InProgress is how many stanzas of the stream are accepted and not finished.
func (st *Stream) InProgress() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.credit
}

// freeze makes the reader's next Receive wait, and waits itself until all that
// was accepted is finished; false if that took too long.
func (st *Stream) freeze(limit time.Duration) bool {
	deadline := time.Now().Add(limit) // before the timer is set, which must find it past
	late := time.AfterFunc(limit, func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.calm.Broadcast()
	})
	defer late.Stop()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.frozen = true
	st.calm.Broadcast()
	for st.credit > 0 {
		if !time.Now().Before(deadline) {
			return false
		}
		st.calm.Wait()
	}
	return true
}

func (st *Stream) thaw() {
	st.mu.Lock()
	st.frozen = st.m.stopping.Load()
	st.mu.Unlock()
	st.calm.Broadcast()
}
