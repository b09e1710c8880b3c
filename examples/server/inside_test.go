package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/server"
)

// inside is a server as run puts it together, with stores that a test has meddled
// with.
type inside struct {
	addr   string // for direct TLS
	srv    *server.Server
	people *operatorAccounts
	stop   func() // shuts it down in good order
}

// launchInside runs one. The stores have been opened when meddle is called.
func launchInside(t testing.TB, data string, meddle func(*stores), args ...string) *inside {
	t.Helper()
	cfg, _, err := config.Load(append([]string{"-data", data, "-domain", "example.org", "-limits", "off"}, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.MakeData(); err != nil {
		t.Fatal(err)
	}
	cert, err := certificate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	st, err := openStores(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if meddle != nil {
		meddle(st)
	}
	srv, fast, reg, err := assemble(t.Context(), cfg, st, cert, nil, slog.New(slog.DiscardHandler))
	if err == nil {
		err = srv.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.ServeTLS(ln) // ends with the server
	}()
	in := &inside{addr: ln.Addr().String(), srv: srv}
	in.people = &operatorAccounts{store: st.accounts, clients: st.clients, committer: st.committer, sasl2: fast, register: reg, mux: srv.Mux()}
	in.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-served
		if err := st.close(); err != nil {
			t.Errorf("closing the stores: %v", err)
		}
	})
	t.Cleanup(in.stop)
	return in
}

// moment is one at which something happens: after a number of looks at stores, before
// who looks learns of it.
type moment struct {
	mu   sync.Mutex
	left int
	then func()
}

// after arms it, for the nth look from now on.
func (m *moment) after(n int, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.then = n, f
}

// come disarms it, and reports whether it has come.
func (m *moment) come() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	came := m.then == nil
	m.then = nil
	return came
}

func (m *moment) look() {
	m.mu.Lock()
	var f func()
	if m.left--; m.left == 0 {
		f, m.then = m.then, nil
	}
	m.mu.Unlock()
	if f != nil {
		f()
	}
}

// watched are stores whose use counts.
type watched struct {
	*moment
	accountStore
}

// Credentials implements scram.Store.
func (w watched) Credentials(ctx context.Context, account string) (scram.Credentials, error) {
	defer w.look()
	return w.accountStore.Credentials(ctx, account)
}

// watchedClients are the same.
type watchedClients struct {
	*moment
	sasl2.Store
}

// Clients implements sasl2.Store.
func (w watchedClients) Clients(ctx context.Context, account mux.Address) ([]sasl2.Client, error) {
	defer w.look()
	return w.Store.Clients(ctx, account)
}

// Put implements sasl2.Store.
func (w watchedClients) Put(ctx context.Context, account mux.Address, c sasl2.Client, k sasl2.Keep) error {
	defer w.look()
	return w.Store.Put(ctx, account, c, k)
}
