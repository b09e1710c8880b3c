package mux

import (
	"context"

	"mellium.im/xmpp/stream"
)

// EndDomain ends everything of a domain that the host does not serve any more: the
// streams that asked for it and the sessions of its accounts, kept ones included, with
// the stream error host-gone (RFC 6120 §4.9.3.5). What is kept of the accounts stays.
// It returns before that is done.
func (m *Mux) EndDomain(domain string) {
	for _, st := range m.streams.all() {
		if st.role != Upstream && st.State()&Bound == 0 && st.Domain() == domain {
			st.Close(stream.HostGone) // a bind that waits for its turn will see it
		}
	}
	for _, s := range m.sessions.all() {
		if s.acct.addr.Domain() == domain {
			m.Go(s.acct.addr, func(ctx context.Context, e *Event) { m.endSession(ctx, e, s, stream.HostGone) })
		}
	}
}
