package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/adhoc"
	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/web/signup"
)

// policies are what the setting -registration means.
var policies = map[config.Registration]register.Policy{
	config.Open: register.Open, config.Approve: register.ByApproval, config.Invite: register.ByInvite, config.Closed: register.Closed,
}

// challenger is what the setting -registration-challenge means.
func challenger(cfg *config.Config) register.Challenger {
	if cfg.Challenge == config.ProofOfWork {
		return new(register.ProofOfWork)
	}
	return nil
}

// challengePage is where those register whose clients cannot do that.
func challengePage(pages string) string {
	if pages == "" {
		return ""
	}
	return pages + "/register"
}

// registration puts package register together; pages is the address of those for people,
// if there are any. Without a server that runs, apply makes its changes durable;
// fast is who lets in with tokens: those sessions have to give the password once more, and
// who guesses it there loses the token.
func registration(cfg *config.Config, st *stores, pages string, people *scram.Service, apply func(context.Context, ...mux.Write) error,
	fast *sasl2.Extension, log *slog.Logger) *register.Extension {
	limiter := register.Limiter(nil)
	if !cfg.Limits {
		limiter = register.Unlimited{}
	}
	var askPassword func(*mux.Event) bool
	var guessed func(context.Context, *mux.Event)
	if fast != nil {
		askPassword, guessed = fast.ByToken, fast.Forget
	}
	return register.New(people, &register.Options{
		Policy: policies[cfg.Registration], Store: st.registration, Limiter: limiter, Apply: apply, AskPassword: askPassword, Guessed: guessed, Logger: log,
		Landing: signup.Landing(pages), Challenger: challenger(cfg), ChallengePage: challengePage(pages),
		Active: func(ctx context.Context, account mux.Address) (bool, error) {
			return people.Active(ctx, account.String())
		},
		Exists: st.accounts.Exists,
		Audit: func(ctx context.Context, a register.Audit) {
			level, result := slog.LevelInfo, "made"
			switch {
			case a.Err != nil:
				level, result = slog.LevelWarn, a.Err.Error()
			case a.Waiting:
				result = "waits for approval"
			}
			attrs := []slog.Attr{slog.String("path", string(a.Path)), slog.String("source", a.Source.String()),
				slog.String("account", a.Account.String()), slog.String("result", result)}
			if a.Invite != (register.InviteID{}) {
				attrs = append(attrs, slog.String("invite", a.Invite.String()), slog.String("inviter", a.Inviter.String()))
			}
			log.LogAttrs(ctx, level, "registration", attrs...)
		},
	})
}

// commands are what users can have done.
func commands(r *register.Extension) *adhoc.Extension {
	return adhoc.New(
		adhoc.Command{Node: register.NodeInvite, Name: "Invite somebody", Allowed: r.MayInvite, Run: r.RunInvite},
		adhoc.Command{Node: register.NodeCreateAccount, Name: "Invite to an account", Allowed: r.MayCreateAccount, Run: r.RunCreateAccount},
		adhoc.Command{Node: register.NodeListInvites, Name: "My invitations", Allowed: r.MayListInvites, Run: r.RunListInvites},
		adhoc.Command{Node: register.NodeRevokeInvites, Name: "Revoke invitations", Allowed: r.MayListInvites, Run: r.RunRevokeInvites},
	)
}

// Remove implements control.Accounts. Without a server the account is marked only: the
// next start takes leave of its contacts, too.
func (o *operatorAccounts) Remove(ctx context.Context, account string) error {
	a, err := mux.ParseAddress(account)
	if err == nil {
		err = o.register.RemoveAccount(ctx, a)
	}
	if errors.Is(err, register.ErrNoAccount) {
		return scram.ErrNoAccount
	}
	if err == nil && o.mux == nil {
		err = o.expire(ctx, account)
	}
	return err
}

// Invite implements control.Invitations.
func (o *operatorAccounts) Invite(ctx context.Context, n control.NewInvite) (control.InviteInfo, error) {
	i := register.Invite{Kind: register.ForAccount, Domain: n.Domain, Name: n.Name, Uses: n.Uses, Note: n.Note, Created: time.Now()}
	if n.For > 0 {
		i.Expires = i.Created.Add(n.For)
	}
	if n.Reset {
		i.Kind = register.ForReset
		if _, err := o.store.Credentials(ctx, n.Name+"@"+n.Domain); err != nil {
			return control.InviteInfo{}, err
		}
	}
	made, err := o.register.Invite(ctx, i)
	if err != nil {
		return control.InviteInfo{}, err
	}
	info := inviteInfo(&made.Invite)
	info.URI, info.Landing = made.URI, made.Landing
	return info, nil
}

func inviteInfo(i *register.Invite) control.InviteInfo {
	return control.InviteInfo{ID: i.ID.String(), Kind: i.Kind.String(), Domain: i.Domain, Name: i.Name, Inviter: i.Inviter.String(),
		Uses: i.Uses, Created: i.Created, Expires: i.Expires, Note: i.Note}
}

// Invites implements control.Invitations.
func (o *operatorAccounts) Invites(ctx context.Context) (list []control.InviteInfo, err error) {
	all, err := o.register.Invites(ctx, mux.Address{})
	for i := range all {
		list = append(list, inviteInfo(&all[i]))
	}
	return list, err
}

// RevokeInvite implements control.Invitations.
func (o *operatorAccounts) RevokeInvite(ctx context.Context, id string) error {
	return o.register.RevokeInvite(ctx, mux.Address{}, id)
}

// Waiting implements control.Invitations.
func (o *operatorAccounts) Waiting(ctx context.Context) (list []control.Application, err error) {
	all, err := o.register.Waiting(ctx)
	for _, a := range all {
		list = append(list, control.Application{Account: a.Account.String(), Reason: a.Reason, Source: a.Source, At: a.At})
	}
	return list, err
}

// Decide implements control.Invitations.
func (o *operatorAccounts) Decide(ctx context.Context, account string, approve bool) error {
	a, err := mux.ParseAddress(account)
	if err != nil {
		return err
	}
	if approve {
		return o.register.Approve(ctx, a)
	}
	return o.register.Deny(ctx, a)
}
