package sasl2_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// mechanisms lets package sasl2 authenticate with package scram.
type mechanisms struct {
	auth  *scram.Authenticator
	store scram.Store
}

func (m mechanisms) Mechanisms(*mux.Stream) []string { return m.auth.Mechanisms() }

func (m mechanisms) Start(_ *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return m.auth.Start(mechanism, domain)
}

// Binding implements [sasl2.Binder].
func (m mechanisms) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

// Status implements [sasl2.Statuser].
func (m mechanisms) Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error) {
	c, err := m.store.Credentials(ctx, account)
	if errors.Is(err, scram.ErrNoAccount) {
		return 0, false, false, nil
	}
	return c.Generation, c.Disabled, err == nil, err
}

var (
	_ sasl2.SASL     = mechanisms{}
	_ sasl2.Binder   = mechanisms{}
	_ sasl2.Statuser = mechanisms{}
)

func Example() {
	accounts := new(scram.Memory)
	auth := mechanisms{scram.New(accounts, nil), accounts}
	m, err := mux.New(nil, nil, sasl2.New(auth, new(sasl2.Memory), nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtSelf iq get {urn:xmpp:cam:0}list: sasl2
	// AtSelf iq set {urn:xmpp:cam:0}revoke: sasl2
	// Lifecycle: sasl2
	// Feature sasl2: sasl2
	// Feature config-version: sasl2
}
