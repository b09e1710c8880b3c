package scram

import (
	"hash"

	"golang.org/x/text/secure/precis"
)

// SASLprep is tested alone against another implementation.
var SASLprep = saslprep

// IsPreparedASCII is tested against the profile that it stands in for.
var IsPreparedASCII = isPreparedASCII

// UsernameCaseMapped is that profile.
var UsernameCaseMapped = precis.UsernameCaseMapped

// Work is how much was hashed.
type Work struct{ Sums, Octets int }

// Count returns how much f hashes with keys and secrets of accounts. Nothing else
// may run meanwhile.
func Count(f func()) (w Work) {
	all, kept := states, macStates
	defer func() { states, macStates = all, kept }()
	for i, fresh := range all {
		if fresh != nil {
			states[i] = func() hash.Hash { return &counting{fresh(), &w} }
			macStates[i] = statesOf(Hash(i)) // those that are kept do not count
		}
	}
	f()
	return w
}

type counting struct {
	hash.Hash
	w *Work
}

func (c *counting) Write(p []byte) (int, error) {
	c.w.Octets += len(p)
	return c.Hash.Write(p)
}

func (c *counting) Sum(p []byte) []byte {
	c.w.Sums++
	return c.Hash.Sum(p)
}

// ListHashes is what an Authenticator remembers.
type ListHashes struct{ listHashes }

// Of is ListHash.
func (l *ListHashes) Of(h Hash, mechanisms, bindings []string) string {
	return l.of(h, mechanisms, bindings)
}
