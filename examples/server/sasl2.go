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
type fastSASL struct{ sasl }

var (
	_ sasl2.SASL     = fastSASL{}
	_ sasl2.Binder   = fastSASL{}
	_ sasl2.Statuser = fastSASL{}
	_ sasl2.Upgrader = fastSASL{}
)

// Start implements sasl2.SASL.
func (s fastSASL) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return s.sasl.Start(st, mechanism, domain)
}

// Binding implements sasl2.Binder.
func (s fastSASL) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}

// HasBinding says whether Binding would have data.
func (s fastSASL) HasBinding(st *mux.Stream, typ string) bool {
	return scram.Available(typ, st.TLS(), st.Certificate())
}

// Status implements sasl2.Statuser.
func (s fastSASL) Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error) {
	return s.auth.Status(ctx, account)
}

// Upgrades implements sasl2.Upgrader.
func (s fastSASL) Upgrades(ctx context.Context, account string) ([]string, error) {
	return s.auth.Upgrades(ctx, account)
}

// BeginUpgrade implements sasl2.Upgrader.
func (s fastSASL) BeginUpgrade(ctx context.Context, account string, generation int64, task string) (
	salt []byte, iterations int, finish func(ctx context.Context, saltedPassword []byte) error, err error) {
	return s.auth.BeginUpgrade(ctx, account, generation, task)
}

// Clients implements control.Accounts.
func (o *operatorAccounts) Clients(ctx context.Context, account string) ([]control.ClientInfo, error) {
	a, err := mux.ParseAddress(account)
	if err != nil {
		return nil, err
	}
	c, err := o.store.Credentials(ctx, account)
	if err != nil {
		return nil, err
	}
	devices, err := o.devices(ctx, a, c.Generation)
	if err != nil {
		return nil, err
	}
	var list []control.ClientInfo
	for _, d := range devices {
		list = append(list, control.ClientInfo{ID: d.ID, Software: d.Software, Device: d.Device, Resource: d.Resource, Last: d.Last,
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
