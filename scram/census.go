package scram

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// HashCounter is a store that knows what keys there are. [Memory] is one.
type HashCounter interface {
	// HashCounts returns how many accounts of a host have keys, and for each hash how
	// many have one for that. The host is the prepared domainpart of their names.
	HashCounts(ctx context.Context, host string) (accounts int, with map[Hash]int, err error)
}

// CensusOptions refine a [Census]. The zero value is ready to use.
type CensusOptions struct {
	// Share is which part of the accounts of a host must have a key for a hash, for
	// that to be listed: 0 or less means that one account is enough, 1 or more that
	// all must have one. Who has no key for what the client chooses is refused, and
	// the client has to take the next, which not all do.
	Share float64
	// Interval is how long what was counted is believed although keys have changed,
	// 0 or less for 10 s, and MaxAge how long although nobody has said that they have,
	// 0 or less for 10 minutes.
	Interval, MaxAge time.Duration
	// Logger is told if the store does not answer; nil discards it.
	Logger *slog.Logger
}

// Census tells for which hashes the accounts of a host have keys, so that servers list
// no mechanism that nobody could log in with (XEP-0480, XEP-0388 §2.1): for
// [Connection.Hashes]. What it tells is the same for everybody who asks for a host and
// depends on no account in particular. It counts seldom and is safe for concurrent use.
type Census struct {
	store HashCounter
	opt   CensusOptions

	mu    sync.Mutex            // guards what follows, and is not held while the store counts
	hosts map[string]hostHashes // of hosts that were asked for
}

// hostHashes is what was counted of a host.
type hostHashes struct {
	hashes  []Hash // not modified; nil if there is nothing to go by
	counted time.Time
	changed bool // since
	busy    bool // somebody counts
}

// NewCensus returns a census. o may be nil and is copied.
func NewCensus(store HashCounter, o *CensusOptions) *Census {
	x := &Census{store: store, hosts: make(map[string]hostHashes)}
	if o != nil {
		x.opt = *o
	}
	if x.opt.Interval <= 0 {
		x.opt.Interval = 10 * time.Second
	}
	if x.opt.MaxAge <= 0 {
		x.opt.MaxAge = 10 * time.Minute
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Hashes returns the hashes to list for a host that is served, nil if nothing is known or
// nobody has keys. Mostly it only remembers; whoever finds that old waits for the store,
// while others are told what was. What was listed for a connection must be kept for as
// long as it may log in: the next call may return something else.
func (x *Census) Hashes(ctx context.Context, host string) []Hash {
	x.mu.Lock()
	h, asked := x.hosts[host]
	age := time.Since(h.counted)
	if h.busy || asked && age < x.opt.MaxAge && (!h.changed || age < x.opt.Interval) {
		x.mu.Unlock()
		return h.hashes
	}
	h.busy, h.changed = true, false // what changes from here on may not be counted
	x.hosts[host] = h
	x.mu.Unlock()

	hashes, err := x.count(ctx, host)
	x.mu.Lock()
	defer x.mu.Unlock()
	h = x.hosts[host] // perhaps changed again
	h.busy, h.counted = false, time.Now()
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "scram: keys cannot be counted", slog.String("host", host), slog.Any("err", err))
		h.changed = true // so that it is not believed for long
	} else {
		h.hashes = hashes
	}
	x.hosts[host] = h
	return h.hashes
}

// count asks the store.
func (x *Census) count(ctx context.Context, host string) ([]Hash, error) {
	accounts, with, err := x.store.HashCounts(ctx, host)
	if err != nil {
		return nil, err
	}
	var hashes []Hash
	for _, h := range []Hash{SHA512, SHA256, SHA1} {
		if n := with[h]; n > 0 && float64(n) >= min(x.opt.Share, 1)*float64(accounts) {
			hashes = append(hashes, h)
		}
	}
	return hashes, nil
}

// Changed says that the keys of an account have changed, or the account has come or gone:
// for [Options.Changed] and [ServiceOptions.Changed].
func (x *Census) Changed(account string) {
	host := account[strings.IndexByte(account, '@')+1:]
	x.mu.Lock()
	defer x.mu.Unlock()
	if h, asked := x.hosts[host]; asked {
		h.changed = true
		x.hosts[host] = h
	}
}

// lists are the names of mechanisms to list, best first: those without channel binding,
// and all.
type lists struct{ plain, all []string }

// listsOf makes them for some hashes.
func listsOf(hashes []Hash, plain bool) (l lists) {
	for _, h := range hashes {
		l.plain = append(l.plain, h.Mechanism())
		l.all = append(l.all, h.Mechanism()+suffixPlus)
	}
	if plain {
		l.plain = append(l.plain, Plain)
	}
	l.all = append(l.all, l.plain...)
	return l
}

// subsets are the lists for each subset of the hashes, by the bits of their places. That
// of none is that of all: who has keys for others only is not helped by a shorter list,
// and clients might take it for an attack.
func subsets(hashes []Hash, plain bool) []lists {
	all := make([]lists, 1<<len(hashes))
	for has := range all {
		var some []Hash
		for i, h := range hashes {
			if has == 0 || has&(1<<i) != 0 {
				some = append(some, h)
			}
		}
		all[has] = listsOf(some, plain)
	}
	return all
}

// listed are the lists for a connection.
func (a *Authenticator) listed(hashes []Hash) lists {
	has := 0
	for i, h := range a.o.Policy.Hashes {
		for _, k := range hashes {
			if h == k {
				has |= 1 << i
			}
		}
	}
	return a.subsets[has]
}
