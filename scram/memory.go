package scram

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"
)

var (
	_ Store    = (*Memory)(nil)
	_ Accounts = (*Memory)(nil)

	_ HashCounter = (*Memory)(nil)
)

// Memory is a store that forgets everything at the end of the process. The
// zero value is empty and ready to use, also by several goroutines.
type Memory struct {
	mu         sync.RWMutex           // guards what follows
	accounts   map[string]Credentials // values are never modified
	generation int64                  // last one given out; one count for all accounts, so none comes back
}

// Credentials implements [Store].
func (m *Memory) Credentials(ctx context.Context, account string) (Credentials, error) {
	c, err := m.kept(ctx, account)
	if err != nil {
		return Credentials{}, err
	}
	return c.Clone(), nil
}

// kept are the credentials of an account as they are here, not to be modified.
func (m *Memory) kept(ctx context.Context, account string) (Credentials, error) {
	if err := ctx.Err(); err != nil {
		return Credentials{}, err
	}
	m.mu.RLock()
	c, ok := m.accounts[account]
	m.mu.RUnlock()
	if !ok {
		return Credentials{}, ErrNoAccount
	}
	return c, nil
}

// Update implements [Store].
func (m *Memory) Update(ctx context.Context, account string, from int64, c Credentials, also ...Also) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.accounts[account]
	if !ok {
		return 0, ErrNoAccount
	}
	if old.Generation != from {
		return 0, ErrConflict
	}
	if err := run(ctx, also); err != nil {
		return 0, err
	}
	c.Created = old.Created
	return m.put(account, c), nil
}

// AddKey implements [Store].
func (m *Memory) AddKey(ctx context.Context, account string, from int64, k Key) error {
	return m.addKeys(ctx, account, from, []Key{k}, false)
}

// Renew implements [Store].
func (m *Memory) Renew(ctx context.Context, account string, from int64, keys []Key) error {
	return m.addKeys(ctx, account, from, keys, true)
}

func (m *Memory) addKeys(ctx context.Context, account string, from int64, keys []Key, replace bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.accounts[account]
	if !ok {
		return ErrNoAccount
	}
	if c.Generation != from {
		return ErrConflict
	}
	for _, k := range keys {
		if _, has := c.Key(k.Hash); has && !replace {
			return ErrConflict
		}
		c.Keys = append(c.without(k.Hash), k.clone())
	}
	c.Updated = time.Now()
	m.accounts[account] = c
	return nil
}

// HashCounts implements [HashCounter].
func (m *Memory) HashCounts(ctx context.Context, host string) (accounts int, with map[Hash]int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	with = make(map[Hash]int)
	m.mu.RLock()
	defer m.mu.RUnlock()
	for name, c := range m.accounts {
		if !strings.HasSuffix(name, "@"+host) || len(c.Keys) == 0 {
			continue
		}
		accounts++
		for _, k := range c.Keys { // of different hashes
			with[k.Hash]++
		}
	}
	return accounts, with, nil
}

// Create implements [Accounts].
func (m *Memory) Create(ctx context.Context, account string, c Credentials, also ...Also) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; ok {
		return 0, ErrExists
	}
	if err := run(ctx, also); err != nil {
		return 0, err
	}
	return m.put(account, c), nil
}

// Remove implements [Accounts].
func (m *Memory) Remove(ctx context.Context, account string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[account]; !ok {
		return ErrNoAccount
	}
	delete(m.accounts, account)
	return nil
}

// Closing implements [Accounts].
func (m *Memory) Closing(ctx context.Context) (map[string]time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	closing := make(map[string]time.Time)
	for name, c := range m.accounts {
		if !c.Closing.IsZero() {
			closing[name] = c.Closing
		}
	}
	return closing, nil
}

// run does what goes together with a change; there is no transaction to roll back,
// so what is done before another refuses stays.
func run(ctx context.Context, also []Also) error {
	for _, f := range also {
		if refusal, err := f(ctx, nil); refusal != nil || err != nil {
			return cmp.Or(err, refusal)
		}
	}
	return nil
}

// put stores a copy of c and returns its generation. The lock must be held.
func (m *Memory) put(account string, c Credentials) int64 {
	c = c.Clone()
	c.Updated = time.Now()
	if c.Created.IsZero() {
		c.Created = c.Updated
	}
	m.generation++
	c.Generation = m.generation
	if m.accounts == nil {
		m.accounts = make(map[string]Credentials)
	}
	m.accounts[account] = c
	return c.Generation
}
