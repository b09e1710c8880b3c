package server

import (
	"context"
	"sync"
	"sync/atomic"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Accounts knows which accounts exist.
type Accounts interface {
	// Exists reports whether there is such an account; it may wait for a store.
	Exists(ctx context.Context, account mux.Address) (bool, error)
}

// knownAccounts bounds how many accounts are remembered to exist.
const knownAccounts = 50_000

// host is the mux.Host of the server.
type host struct {
	served   atomic.Pointer[domains]
	accounts Accounts

	mu    sync.RWMutex
	known map[mux.Address]struct{} // exist; never the contrary, which others may change
}

var _ mux.Host = (*host)(nil)

func newHost(names []string, a Accounts) (*host, error) {
	served, err := newDomains(names)
	if err != nil {
		return nil, err
	}
	h := &host{accounts: a, known: make(map[mux.Address]struct{})}
	h.served.Store(served)
	return h, nil
}

// Local implements mux.Host.
func (h *host) Local(domain string) bool { return h.served.Load().has[domain] }

// Account implements mux.Host.
func (h *host) Account(a mux.Address) (exists, known bool) {
	h.mu.RLock()
	_, ok := h.known[a]
	h.mu.RUnlock()
	return ok, ok
}

// LoadAccount implements mux.Host.
func (h *host) LoadAccount(ctx context.Context, a mux.Address) (bool, error) {
	ok, err := h.accounts.Exists(ctx, a)
	if err != nil || !ok {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= knownAccounts {
		for k := range h.known { // any: the map's order is as good as another
			delete(h.known, k)
			break
		}
	}
	h.known[a] = struct{}{}
	return true, nil
}

func (h *host) forget(a mux.Address) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, a)
}

// Route implements mux.Host. There is no federation yet (RFC 6120 §10.4: the
// same error as for a domain that cannot be found).
func (h *host) Route(context.Context, *mux.Item) error {
	return stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound}
}

// hostExtension keeps the host's memory of accounts right.
type hostExtension struct{ h *host }

// Name implements mux.Extension.
func (hostExtension) Name() string { return "server" }

// Register implements mux.Extension.
func (x hostExtension) Register(r *mux.Registry) error {
	mux.On(r, func(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
		x.h.forget(e.Account)
		return nil
	})
	return nil
}
