package mux

// Accounts is how many accounts are in use, for tests.
func (m *Mux) Accounts() (n int) {
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		n += len(sh.m)
		sh.mu.Unlock()
	}
	return n
}

// Outlets is how many ways to other domains there are, for tests.
func (m *Mux) Outlets() int {
	m.outletMu.Lock()
	defer m.outletMu.Unlock()
	return len(m.outlets)
}

// Queries is how many requests of ours are open, for tests.
func (m *Mux) Queries() int {
	m.queries.mu.Lock()
	defer m.queries.mu.Unlock()
	return len(m.queries.m)
}

// OpenWorks is how many Works have not ended, for tests.
func (m *Mux) OpenWorks() int64 { return m.open.Load() }
