package sasl2

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// ErrConflict is returned by [Store.Put] if the client was written meanwhile.
var ErrConflict = errors.New("sasl2: written by somebody else meanwhile")

// Client is what is kept of an installation of a program that has logged in.
type Client struct {
	// ID names it among those of its account. It is made up here and is no secret.
	ID string
	// Version counts what was written. Only [Store.Put] changes it.
	Version int64
	// Software and Device are how it describes itself: valid text, perhaps empty.
	Software, Device string
	// First and Last are when it was seen for the first and for the last time, the
	// latter to the hour where nothing else has changed.
	First, Last time.Time
	// Password is the generation of the credentials whose password it has proved
	// to know, 0 for none.
	Password int64
	// New is a token that was issued and not used yet, Current the one that was used
	// last (XEP-0484 §5.1).
	New, Current Token
}

// Token is what is kept of a token. It is nothing that could be logged in with.
type Token struct {
	Slot       string // a random text, empty for no token
	Mechanism  string
	Generation int64 // of the credentials that its owner had proved
	Issued     time.Time
	Expires    time.Time
	Least      int64 // the least count of XEP-0484 §3.4 that is accepted
}

// Keep says what is forgotten when something is written.
type Keep struct {
	// Max clients are kept of the account: those that were there last.
	Max int
	// Since is when a client must have been there last. Others may be forgotten,
	// also of other accounts.
	Since time.Time
}

// Store keeps clients with their tokens. Implementations must allow concurrent
// calls. Accounts are given by their bare address, times may be kept to the
// microsecond. Put takes part in the order of writes.
type Store interface {
	// Clients reads all clients of an account, in no order. It may wait; an error is
	// for failures only.
	Clients(ctx context.Context, account mux.Address) ([]Client, error)
	// Put writes a client, which is a new one if its Version is 0, or else must
	// still have that one; if not, nothing is written and the error is
	// [ErrConflict]. It returns when the change is durable, and must not be called in
	// a turn.
	Put(ctx context.Context, account mux.Address, c Client, k Keep) error
	// Remove forgets a client of that ID, if there is one, or all of an account if
	// it is empty.
	Remove(account mux.Address, id string) mux.Write
	// DropTokens makes the clients of an account have no tokens, and have proved no
	// password.
	DropTokens(account mux.Address) mux.Write
}

var _ Store = (*Memory)(nil)

// Memory is a [Store] that forgets everything at the end of the process. The zero
// value is empty and ready to use, also by several goroutines. Its writes take
// effect when they are applied; they ignore the transaction, so they cannot be
// rolled back, and the context.
type Memory struct {
	mu       sync.Mutex               // guards what follows
	accounts map[mux.Address][]Client // lists are never modified
}

// Clients implements [Store].
func (m *Memory) Clients(ctx context.Context, account mux.Address) ([]Client, error) {
	list, err := m.kept(ctx, account)
	return slices.Clone(list), err
}

// kept are the clients of an account as they are here, not to be modified.
func (m *Memory) kept(ctx context.Context, account mux.Address) ([]Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accounts[account], nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, account mux.Address, c Client, k Keep) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.accounts[account])
	i := indexOf(list, c.ID)
	switch {
	case i < 0 && c.Version != 0, i >= 0 && list[i].Version != c.Version:
		return ErrConflict
	case i >= 0:
		list = slices.Delete(list, i, i+1)
	}
	c.Version++
	list = append(list, c)
	list = slices.DeleteFunc(list, func(o Client) bool { return o.ID != c.ID && o.Last.Before(k.Since) })
	slices.SortStableFunc(list, func(a, b Client) int {
		switch c.ID { // what is written stays, whatever the clock says
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return b.Last.Compare(a.Last)
	})
	m.set(account, list[:min(len(list), max(k.Max, 1))])
	return nil
}

func (m *Memory) set(account mux.Address, list []Client) {
	if m.accounts == nil {
		m.accounts = make(map[mux.Address][]Client)
	}
	if len(list) == 0 {
		delete(m.accounts, account)
		return
	}
	m.accounts[account] = slices.Clip(list)
}

// Remove implements [Store].
func (m *Memory) Remove(account mux.Address, id string) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.set(account, slices.DeleteFunc(slices.Clone(m.accounts[account]), func(c Client) bool { return id == "" || c.ID == id }))
		return nil
	}
}

// DropTokens implements [Store].
func (m *Memory) DropTokens(account mux.Address) mux.Write {
	return func(context.Context, mux.Tx) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		list := slices.Clone(m.accounts[account])
		for i := range list {
			list[i].New, list[i].Current, list[i].Password = Token{}, Token{}, 0
			list[i].Version++
		}
		m.set(account, list)
		return nil
	}
}

func indexOf(list []Client, id string) int {
	return slices.IndexFunc(list, func(c Client) bool { return c.ID == id })
}
