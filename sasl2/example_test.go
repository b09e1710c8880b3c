package sasl2_test

import (
	"fmt"
	"os"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// mechanisms lets package sasl2 authenticate with package scram, whose Authenticator
// has the methods of a Statuser and an Upgrader.
type mechanisms struct{ *scram.Authenticator }

// on is what is offered on the connection of a stream.
func (m mechanisms) on(st *mux.Stream) *scram.Offer {
	return m.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate()})
}

func (m mechanisms) Mechanisms(st *mux.Stream) []string { return m.on(st).Mechanisms() }

func (m mechanisms) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return m.on(st).Start(mechanism, domain)
}

// Binding implements [sasl2.Binder].
func (m mechanisms) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

var (
	_ sasl2.SASL     = mechanisms{}
	_ sasl2.Binder   = mechanisms{}
	_ sasl2.Statuser = mechanisms{}
	_ sasl2.Upgrader = mechanisms{}
)

// The types of channel binding are listed by what negotiates the stream: give it a
// SASL that has the method ChannelBindings, of which [scram.Offer] knows the answer.
func Example() {
	accounts := new(scram.Memory)
	auth := mechanisms{scram.New(accounts, nil)}
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
