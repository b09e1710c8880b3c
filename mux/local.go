package mux

// Ours reports whether a is the address, bare or full, of an account of a served
// domain, whether or not there is such an account. Addresses of hosted entities
// and served domains themselves are not. It does not wait.
func (m *Mux) Ours(a Address) bool { return m.ours(a.Bare()) }
