package main

import (
	"context"
	"errors"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// fastSASL lets package sasl2 authenticate with package scram.
type fastSASL struct {
	sasl
	accounts accountStore
}

var (
	_ sasl2.SASL     = fastSASL{}
	_ sasl2.Binder   = fastSASL{}
	_ sasl2.Statuser = fastSASL{}
)

// Start implements sasl2.SASL.
func (s fastSASL) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return s.sasl.Start(st, mechanism, domain)
}

// Binding implements sasl2.Binder.
func (s fastSASL) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

// Status implements sasl2.Statuser.
func (s fastSASL) Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error) {
	return status(ctx, s.accounts, account)
}

func status(ctx context.Context, accounts scram.Store, account string) (generation int64, disabled, exists bool, err error) {
	c, err := accounts.Credentials(ctx, account)
	if errors.Is(err, scram.ErrNoAccount) {
		return 0, false, false, nil
	}
	return c.Generation, c.Disabled, err == nil, err
}

// Clients implements control.Accounts.
func (o *operatorAccounts) Clients(ctx context.Context, account string) ([]control.ClientInfo, error) {
	a, err := mux.ParseAddress(account)
	if err != nil {
		return nil, err
	}
	generation, _, exists, err := status(ctx, o.store, account)
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, scram.ErrNoAccount
	}
	devices, err := o.devices(ctx, a, generation)
	if err != nil {
		return nil, err
	}
	var list []control.ClientInfo
	for _, d := range devices {
		list = append(list, control.ClientInfo{ID: d.ID, Software: d.Software, Device: d.Device, Last: d.Last,
			Connected: d.Connected, Password: d.Password, Token: d.Token})
	}
	return list, nil
}

// devices are the clients of an account, from the server if it runs.
func (o *operatorAccounts) devices(ctx context.Context, account mux.Address, generation int64) ([]sasl2.Device, error) {
	if o.mux != nil {
		return o.sasl2.Devices(ctx, o.mux, account)
	}
	clients, err := o.clients.Clients(ctx, account)
	if err != nil {
		return nil, err
	}
	var list []sasl2.Device
	for _, c := range clients {
		list = append(list, sasl2.DeviceOf(c, generation, time.Now()))
	}
	return list, nil
}

// Revoke implements control.Accounts.
func (o *operatorAccounts) Revoke(ctx context.Context, account, id string) error {
	list, err := o.Clients(ctx, account)
	if err != nil {
		return err
	}
	a, err := mux.ParseAddress(account)
	if err != nil {
		return err
	}
	if o.mux != nil {
		return o.sasl2.Revoke(ctx, o.mux, a, id)
	}
	if !has(list, id) {
		return sasl2.ErrNoClient
	}
	o.committer.Submit([]mux.Write{o.clients.Remove(a, id)})
	if list, err = o.Clients(ctx, account); err == nil && has(list, id) {
		err = errors.New("the store has not written it")
	}
	return err
}

func has(list []control.ClientInfo, id string) bool {
	for _, c := range list {
		if c.ID == id {
			return true
		}
	}
	return false
}
