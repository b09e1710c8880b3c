package main

import (
	"context"
	"crypto/tls"
	"log/slog"

	"github.com/propolis-im/propolis/examples/server/internal/selfsigned"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/scram"
)

// sasl lets package negotiate authenticate with package scram.
type sasl struct {
	auth  *scram.Authenticator
	lists *lists
}

var (
	_ negotiate.SASL          = sasl{}
	_ negotiate.ChannelBinder = sasl{}
)

func (s sasl) on(st *mux.Stream) *scram.Offer {
	return s.auth.On(scram.Connection{TLS: st.TLS(), Leaf: st.Certificate(), Hashes: s.lists.hashes(st)})
}

// Mechanisms implements negotiate.SASL.
func (s sasl) Mechanisms(st *mux.Stream) []string { return s.on(st).Mechanisms() }

// ChannelBindings implements negotiate.ChannelBinder.
func (s sasl) ChannelBindings(st *mux.Stream) []string { return s.on(st).ChannelBindings() }

// Start implements negotiate.SASL.
func (s sasl) Start(st *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	return s.on(st).Start(mechanism, domain)
}

// warnEndPoint tells the operator of a certificate for which the binding that
// XEP-0440 §2 wants of every server does not exist.
func warnEndPoint(ctx context.Context, cert *selfsigned.Certificate, log *slog.Logger) {
	leaf := cert.Leaf()
	if _, err := scram.BindingData(scram.TLSServerEndPoint, &tls.ConnectionState{}, leaf); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "clients that can bind a login to the certificate only cannot do so: "+
			"its signature has no hash function of its own, so take one signed with RSA or ECDSA", slog.Any("err", err))
	}
}
