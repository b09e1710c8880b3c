package main

import (
	"context"
	"errors"
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
	end    func() error // shuts it down in good order
	stop   func()       // does so within a test
}

// launchInside runs one. The stores have been opened when meddle is called.
func launchInside(t testing.TB, data string, meddle func(*stores), args ...string) *inside {
	t.Helper()
	in, err := startInside(t.Context(), data, meddle, args...)
	if err != nil {
		t.Fatal(err)
	}
	in.stop = sync.OnceFunc(func() {
		if err := in.end(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(in.stop)
	return in
}

func startInside(ctx context.Context, data string, meddle func(*stores), args ...string) (in *inside, err error) {
	cfg, _, err := config.Load(append([]string{"-data", data, "-domain", "example.org", "-limits", "off"}, args...), nil)
	if err != nil {
		return nil, err
	}
	if err := cfg.MakeData(); err != nil {
		return nil, err
	}
	cert, err := certificate(cfg)
	if err != nil {
		return nil, err
	}
	st, err := openStores(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if meddle != nil {
		meddle(st)
	}
	srv, err := assemble(ctx, cfg, st, cert, "", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := srv.Start(ctx); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(ln) }()
	return &inside{addr: ln.Addr().String(), srv: srv.Server, people: srv.operator(st), end: func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err := srv.Shutdown(ctx)
		if end := <-served; !errors.Is(end, server.ErrClosed) {
			err = errors.Join(err, end)
		}
		return errors.Join(err, st.close())
	}}, nil
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
