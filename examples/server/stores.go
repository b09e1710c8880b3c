package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/private"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
	"github.com/propolis-im/propolis/sqlstore"
	"github.com/propolis-im/propolis/vcard"
)

// accountStore is what is kept of accounts.
type accountStore interface {
	scram.AccountStore
	scram.HashCounter
	Exists(ctx context.Context, account mux.Address) (bool, error)
	List(ctx context.Context, domain string) ([]string, error)
	Classes(ctx context.Context) ([]scram.Class, error)
	HashSets(ctx context.Context) ([][]scram.Hash, error)
}

// archives are the stores of package archive.
type archives interface {
	archive.Store
	archive.PrefsStore
}

// blocklists is the store of package blocking.
type blocklists interface {
	blocking.Store
	blocking.Reverse
}

// stores are the stores of all extensions.
type stores struct {
	accounts     accountStore
	rosters      roster.Store
	last         lastactivity.Store
	blocked      blocklists
	nodes        pep.Store
	private      private.Store
	registration register.Store
	vcards       vcard.Store
	clients      sasl2.Store
	archives     archives
	offline      offline.Store
	caps         caps.Store
	sessions     mux.SessionStore
	streams      smacks.Store  // nil as sessions
	committer    mux.Committer // nil: nothing survives, nothing waits
	secret       [32]byte      // for scram.Options
	earlier      []scram.EarlierSecret
	tokens       [32]byte // for sasl2.Options
	close        func() error

	// addresses reports those that are prepared differently now; nil if none are kept.
	addresses func(ctx context.Context, report func(account, stored, now string)) error
}

// openStores opens what the settings say.
func openStores(ctx context.Context, cfg *config.Config) (*stores, error) {
	if cfg.Store == config.StoreMemory {
		s := &stores{
			accounts: &memoryAccounts{}, rosters: &roster.Memory{}, last: &lastactivity.Memory{}, blocked: &blocking.Memory{},
			private: &private.Memory{}, registration: &register.Memory{}, vcards: &vcard.Memory{}, clients: &sasl2.Memory{},
			archives: &archive.Memory{}, offline: &offline.Memory{}, nodes: &pep.Memory{}, caps: &caps.Memory{},
			close: func() error { return nil },
		}
		_, _ = rand.Read(s.secret[:]) // never fails
		_, _ = rand.Read(s.tokens[:])
		return s, nil
	}
	db, err := sqlstore.Open(ctx, filepath.Join(cfg.Data, "propolis.db"), nil)
	if err != nil {
		return nil, err
	}
	s := &stores{
		accounts: db.Accounts(), rosters: db.Rosters(), last: db.LastActivity(), blocked: db.Blocklists(),
		private: db.Private(), registration: db.Registration(), vcards: db.VCards(), clients: db.Clients(),
		archives: db.Archives(), offline: db.Offline(), nodes: db.PEP(), caps: db.Caps(),
		sessions: db.Sessions(), streams: db.StreamManagement(), committer: db, close: db.Close, addresses: db.CheckAddresses,
	}
	if s.earlier, err = earlierDecoys(ctx, db); err != nil {
		return nil, fmt.Errorf("%w (and closing: %v)", err, db.Close())
	}
	for name, key := range map[string]*[32]byte{decoys: &s.secret, tokens: &s.tokens} {
		secret, err := db.Secret(ctx, name, len(key))
		if err != nil {
			return nil, fmt.Errorf("%w (and closing: %v)", err, db.Close())
		}
		copy(key[:], secret)
	}
	return s, nil
}

// check tells the operator of accounts and contacts whose stored names nobody can be
// known by any more, because a newer version of this program has newer Unicode data.
func (s *stores) check(ctx context.Context, log *slog.Logger) error {
	if s.addresses == nil {
		return nil
	}
	return s.addresses(ctx, func(account, stored, now string) {
		if now == "" {
			now = "(refused)"
		}
		log.LogAttrs(ctx, slog.LevelWarn, "a stored address has another form now; it is left as it is",
			slog.String("account", account), slog.String("stored", stored), slog.String("now", now))
	})
}

// expire ends the window in which an account's saved sessions can be resumed. The
// server disposes of them when it starts: what a client has not received is kept for
// it elsewhere.
func (s *stores) expire(ctx context.Context, account string) error {
	saved, err := s.sessions.Load(ctx)
	if err != nil {
		return err
	}
	var writes []mux.Write
	for _, one := range saved {
		if one.JID.Bare().String() == account {
			one.Until = time.Now()
			writes = append(writes, s.sessions.Save(one))
		}
	}
	if len(writes) > 0 {
		s.committer.Submit(writes) // closing the store waits for it
	}
	return nil
}

// memoryAccounts is scram.Memory with a list.
type memoryAccounts struct {
	scram.Memory
	mu    sync.Mutex
	names map[string]struct{}
}

// Create implements scram.Accounts.
func (m *memoryAccounts) Create(ctx context.Context, account string, c scram.Credentials, also ...scram.Also) (int64, error) {
	generation, err := m.Memory.Create(ctx, account, c, also...)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.names == nil {
			m.names = make(map[string]struct{})
		}
		m.names[account] = struct{}{}
	}
	return generation, err
}

// Remove implements scram.Accounts.
func (m *memoryAccounts) Remove(ctx context.Context, account string) error {
	err := m.Memory.Remove(ctx, account)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.names, account)
	}
	return err
}

// Exists implements server.Accounts.
func (m *memoryAccounts) Exists(_ context.Context, account mux.Address) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.names[account.String()]
	return ok, nil
}

// List returns the accounts of a domain, or all.
func (m *memoryAccounts) List(_ context.Context, domain string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []string
	for n := range m.names {
		if domain == "" || strings.HasSuffix(n, "@"+domain) {
			l = append(l, n)
		}
	}
	slices.Sort(l)
	return l, nil
}

// Classes says nothing: the policy describes all keys.
func (m *memoryAccounts) Classes(context.Context) ([]scram.Class, error) { return nil, nil }

// HashSets says nothing either: all accounts are made by the policy.
func (m *memoryAccounts) HashSets(context.Context) ([][]scram.Hash, error) { return nil, nil }
