package mux

import (
	"context"
	"errors"
	"reflect"
)

// Account events of the kernel. Handlers run in the account's turn; their writes
// join its Work.
type (
	// AccountClosing: the account is going to be removed; its sessions are still
	// there. An error is logged and stops nothing.
	AccountClosing struct{}
	// AccountRemoved: the sessions are gone; remove everything that is kept of
	// the account.
	AccountRemoved struct{}
	// CredentialsChanged: password or keys were replaced.
	CredentialsChanged struct{}
	// SubscriptionChanged: the subscription with a contact is another one now.
	SubscriptionChanged struct {
		Contact       Address
		FromWas, From bool // whether the contact receives our presence
		ToWas, To     bool // whether we receive the contact's
	}
	// BlockChanged: the contact was blocked or is no longer.
	BlockChanged struct {
		Contact Address
		Blocked bool
	}
	// StateLost: a commit failed, and with it writes of this account. Whatever is
	// cached of it must be loaded again; account slots were cleared.
	StateLost struct{ Err error }
)

type eventHandler struct {
	ext string
	f   func(ctx context.Context, e *Event, ev any) error
}

// On registers a handler of account events of type E, one of those above or any
// other type that extensions agree on. It runs in the account's turn and must
// not wait.
func On[E any](r *Registry, f func(ctx context.Context, e *Event, ev E) error) {
	t := reflect.TypeFor[E]()
	r.m.events[t] = append(r.m.events[t], eventHandler{r.ext, func(ctx context.Context, e *Event, ev any) error {
		return f(ctx, e, ev.(E))
	}})
}

// Emit tells all handlers of E, in order, in the turn of e. Errors are joined;
// each handler is told whatever the others return.
func Emit[E any](ctx context.Context, e *Event, ev E) error {
	var errs []error
	for _, h := range e.m.events[reflect.TypeFor[E]()] {
		if err := h.f(ctx, e, ev); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
