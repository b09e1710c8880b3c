package caps

import (
	"time"

	"github.com/propolis-im/propolis/mux"
)

// limit says by whom a hash is announced, which decides how many new ones there may be.
type limit uint8

const (
	ownLimit      limit = iota // a client of ours, for its account
	contactLimit               // a contact, for its domain
	strangerLimit              // anybody else, for the domain
)

// limits count unknown hashes in periods of a minute.
type limits struct {
	began time.Time
	n     map[limitKey]int
}

type limitKey struct {
	l    limit
	name string
}

// maxLimited bounds how many are counted; when there are more, the others have none.
const maxLimited = 20_000

// allow counts one more hash, and reports whether it may be asked for.
func (l *limits) allow(who subject, by limit, perMinute int) bool {
	if perMinute < 0 {
		return true
	}
	if now := time.Now(); now.Sub(l.began) >= time.Minute {
		l.began = now
		clear(l.n)
	}
	k, bound := limitKey{by, who.full.Domain()}, perMinute
	switch by {
	case ownLimit:
		k.name, bound = who.full.Bare().String(), max(1, perMinute/10)
	case strangerLimit:
		bound = max(1, perMinute/60)
	}
	if l.n[k] >= bound || l.n[k] == 0 && len(l.n) >= maxLimited {
		return false
	}
	if l.n == nil {
		l.n = make(map[limitKey]int)
	}
	l.n[k]++
	return true
}

// outside is the domain whose pending queries are counted, empty for accounts of ours.
func outside(m *mux.Mux, full mux.Address) string {
	if m.Ours(full) {
		return ""
	}
	return full.Domain()
}
