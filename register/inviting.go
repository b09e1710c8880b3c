package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Defaults of invitations.
const (
	InviteLifetime = 7 * 24 * time.Hour
	ResetLifetime  = 24 * time.Hour
	OpenInvites    = 10 // that a user may have
)

// Invited is an invitation that was made just now.
type Invited struct {
	Invite
	Token   string // nobody can ask for it again
	URI     string
	Landing string // the page for it, see [Options.Landing]; empty for none
}

// Present looks at an invitation that somebody shows who wants an account at domain, or
// a new password. Whether it has expired is looked at here and in [Extension.Show], and
// nowhere else (XEP-0445 §4). It waits for the store and must not be called in a turn.
// The error is [ErrToken] whatever is wrong with the token.
func (x *Extension) Present(ctx context.Context, source netip.Addr, domain, token string) (*Grant, error) {
	return x.present(ctx, source, domain, token, func(i *Invite) bool {
		return i.Domain == domain && (i.Kind == ForReset || i.Registers() && x.opt.Policy != Closed)
	})
}

// Show is Present for a page that has to find out from the token where and to what
// somebody is invited: it takes invitations to all domains, and those to a contact list
// that no account can be made with.
func (x *Extension) Show(ctx context.Context, source netip.Addr, token string) (*Grant, error) {
	return x.present(ctx, source, "", token, func(i *Invite) bool {
		return i.Kind == ForReset || i.Kind == ForContact || x.opt.Policy != Closed
	})
}

// present looks at an invitation. The limits of a domain that is not known yet are
// those of the empty name.
func (x *Extension) present(ctx context.Context, source netip.Addr, domain, token string, fits func(*Invite) bool) (*Grant, error) {
	end, err := x.begin(ctx, source, domain)
	if err != nil {
		return nil, err
	}
	how := Failed
	defer func() { end(how) }()
	if token == "" || len(token) > maxToken {
		return nil, ErrToken
	}
	i, err := x.opt.Store.Invite(ctx, IDOf(token))
	switch {
	case errors.Is(err, ErrNoInvite):
		return nil, ErrToken
	case err != nil:
		return nil, err
	case !i.Valid(time.Now()), !fits(&i):
		return nil, ErrToken
	}
	switch stands, err := x.stands(ctx, &i); {
	case err != nil:
		return nil, err
	case !stands:
		return nil, ErrToken
	}
	how = Neutral
	return &Grant{invite: i}, nil
}

// stands reports whether an invitation is not void because who invites cannot log in
// (auth-register IV-10), or the account that it sets the password of cannot be logged in
// to: that is not to be had by a link.
func (x *Extension) stands(ctx context.Context, i *Invite) (bool, error) {
	of := i.Inviter
	if i.Kind == ForReset {
		var err error
		if of, err = mux.ParseAddress(i.Name + "@" + i.Domain); err != nil {
			return false, nil // it cannot have been one
		}
	}
	if of.IsZero() || x.opt.Active == nil {
		return true, nil
	}
	return x.opt.Active(ctx, of)
}

// Invite makes an invitation. Kind and Domain must be set; what is zero of Created,
// Expires and Uses gets its default, and Name is prepared. An inviter has a quota. It
// waits for the store and must not be called in a turn.
func (x *Extension) Invite(ctx context.Context, i Invite) (made *Invited, err error) {
	at := i.Inviter
	if at.IsZero() {
		if at, err = mux.ParseAddress(i.Domain); err != nil {
			return nil, err
		}
	}
	m := x.mux.Load()
	if m == nil || x.opt.Apply != nil {
		if made, err = x.newInvite(ctx, i); err != nil {
			return nil, err
		}
		return made, x.write(ctx, at, x.opt.Store.AddInvite(made.Invite))
	}
	// In a turn, so that nobody makes two at a time.
	err = errors.Join(m.Do(ctx, at, func(ctx context.Context, e *mux.Event) {
		if made, err = x.newInvite(ctx, i); err == nil {
			e.Work.Write(x.opt.Store.AddInvite(made.Invite))
		}
	}), err)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// newInvite checks and completes an invitation. Those of one inviter must be made one
// after another.
func (x *Extension) newInvite(ctx context.Context, i Invite) (*Invited, error) {
	now := time.Now()
	lifetime := x.opt.InviteLifetime
	if i.Kind == ForReset {
		lifetime = ResetLifetime
	}
	if i.Created.IsZero() {
		i.Created = now
	}
	if i.Expires.IsZero() {
		i.Expires = i.Created.Add(lifetime)
	}
	if i.Uses <= 0 || i.Kind == ForReset || i.Name != "" {
		i.Uses = 1
	}
	if i.Kind == ForContact {
		i.MayRegister = i.MayRegister && x.opt.Policy != Closed // auth-register IV-11
	}
	if err := x.checkQuota(ctx, &i, now); err != nil {
		return nil, err
	}
	if i.Kind == ForAccount && i.Name != "" {
		if err := x.reserve(ctx, &i, now); err != nil {
			return nil, err
		}
	}
	made := &Invited{Invite: i, Token: newToken()}
	made.ID = IDOf(made.Token)
	u, err := made.Invite.URI(made.Token)
	if err != nil {
		return nil, fmt.Errorf("register: invitation to %q at %q: %w", i.Name, i.Domain, err)
	}
	made.URI = u.String()
	if x.opt.Landing != nil {
		made.Landing = x.opt.Landing(made.Token)
	}
	return made, nil
}

func (x *Extension) checkQuota(ctx context.Context, i *Invite, now time.Time) error {
	if i.Inviter.IsZero() || x.opt.MaxInvites < 0 {
		return nil
	}
	all, err := x.opt.Store.Invites(ctx, i.Inviter)
	if err != nil {
		return err
	}
	open := 0
	for j := range all {
		if all[j].Valid(now) {
			open += all[j].Uses
		}
	}
	if open+i.Uses > x.opt.MaxInvites {
		return ErrQuota
	}
	return nil
}

// reserve prepares the name of an invitation and sees whether it is free.
func (x *Extension) reserve(ctx context.Context, i *Invite, now time.Time) error {
	local, err := x.accounts.Prepare(i.Name)
	if err != nil {
		return refused(err, ErrName)
	}
	i.Name = local
	if !i.Inviter.IsZero() && x.opt.Reserved(local) {
		return ErrTaken
	}
	all, err := x.opt.Store.Invites(ctx, mux.Address{})
	if err != nil {
		return err
	}
	for j := range all {
		if all[j].reserves(i.Domain, local, now) {
			return ErrTaken
		}
	}
	if x.opt.Exists != nil {
		a, err := mux.ParseAddress(local + "@" + i.Domain)
		if err != nil {
			return ErrName
		}
		switch found, err := x.opt.Exists(ctx, a); {
		case err != nil:
			return err
		case found:
			return ErrTaken
		}
	}
	return nil
}

// Invites returns the open invitations of an inviter, of all if that is zero.
func (x *Extension) Invites(ctx context.Context, inviter mux.Address) ([]Invite, error) {
	all, err := x.opt.Store.Invites(ctx, inviter)
	now := time.Now()
	var open []Invite
	for _, i := range all {
		if i.Valid(now) {
			open = append(open, i)
		}
	}
	return open, err
}

// Guests returns those whom an account has invited, all if it is zero.
func (x *Extension) Guests(ctx context.Context, inviter mux.Address) ([]Guest, error) {
	return x.opt.Store.Guests(ctx, inviter)
}

// RevokeInvite voids the invitation of that name, as InviteID.String writes it, of an
// inviter, of anybody if that is zero; [ErrNoInvite] if there is none. It must not be
// called in a turn.
func (x *Extension) RevokeInvite(ctx context.Context, inviter mux.Address, name string) error {
	all, err := x.opt.Store.Invites(ctx, inviter)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.ID.String() != name {
			continue
		}
		at := i.Inviter
		if at.IsZero() {
			if at, err = mux.ParseAddress(i.Domain); err != nil {
				return err
			}
		}
		return x.write(ctx, at, x.opt.Store.RemoveInvite(i.ID))
	}
	return ErrNoInvite
}

// errNotRunning: nothing can be written without a mux and without Options.Apply.
var errNotRunning = errors.New("register: the mux has not started, and there is no Options.Apply")

// write makes changes durable, outside of turns.
func (x *Extension) write(ctx context.Context, at mux.Address, writes ...mux.Write) error {
	if x.opt.Apply != nil {
		return x.opt.Apply(ctx, writes...)
	}
	m := x.mux.Load()
	if m == nil {
		return errNotRunning
	}
	return m.Do(ctx, at, func(_ context.Context, e *mux.Event) {
		for _, w := range writes {
			e.Work.Write(w)
		}
	})
}
