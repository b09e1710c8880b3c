package control

import (
	"context"
	"time"
)

// Invitations is what can be done about people who want an account.
type Invitations interface {
	// Invite makes an invitation, or returns an error that wraps [ErrDomain],
	// register.ErrTaken, register.ErrName or, for a new password, scram.ErrNoAccount.
	Invite(ctx context.Context, n NewInvite) (InviteInfo, error)
	// Invites returns the open ones, without their links.
	Invites(ctx context.Context) ([]InviteInfo, error)
	// RevokeInvite voids one, or returns register.ErrNoInvite.
	RevokeInvite(ctx context.Context, id string) error
	// Waiting returns those who wait for approval.
	Waiting(ctx context.Context) ([]Application, error)
	// Decide lets one of them in, or not, or returns register.ErrNoApplication.
	Decide(ctx context.Context, account string, approve bool) error
}

// NewInvite is an invitation to be made. What is zero gets a default.
type NewInvite struct {
	Domain string        `json:"domain,omitempty"`
	Name   string        `json:"name,omitempty"`  // that the account has to have
	Reset  bool          `json:"reset,omitempty"` // it gets a new password
	Uses   int           `json:"uses,omitempty"`
	For    time.Duration `json:"for,omitempty"`
	Note   string        `json:"note,omitempty"`
}

// InviteInfo is an invitation. The note may be anything.
type InviteInfo struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Domain  string    `json:"domain"`
	Name    string    `json:"name,omitempty"`
	Inviter string    `json:"inviter,omitempty"`
	Uses    int       `json:"uses"` // that are left
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Note    string    `json:"note,omitempty"`
	URI     string    `json:"uri,omitempty"` // of a new one
	Landing string    `json:"landing,omitempty"`
}

// Application is somebody who waits for approval. The reason may be anything.
type Application struct {
	Account string    `json:"account"`
	Reason  string    `json:"reason,omitempty"`
	Source  string    `json:"source,omitempty"`
	At      time.Time `json:"at"`
}

// Invite implements [Invitations].
func (c *Client) Invite(ctx context.Context, n NewInvite) (InviteInfo, error) {
	lines, err := c.call(ctx, request{Op: opInvite, New: &n})
	if err == nil && (len(lines) != 1 || lines[0].Invite == nil) {
		err = errMalformed
	}
	if err != nil {
		return InviteInfo{}, err
	}
	return *lines[0].Invite, nil
}

// Invites implements [Invitations].
func (c *Client) Invites(ctx context.Context) (list []InviteInfo, err error) {
	lines, err := c.call(ctx, request{Op: opInvites})
	for _, l := range lines {
		if l.Invite == nil {
			return nil, errMalformed
		}
		list = append(list, *l.Invite)
	}
	return list, err
}

// RevokeInvite implements [Invitations].
func (c *Client) RevokeInvite(ctx context.Context, id string) error {
	_, err := c.call(ctx, request{Op: opRevokeInvite, Client: id})
	return err
}

// Waiting implements [Invitations].
func (c *Client) Waiting(ctx context.Context) (list []Application, err error) {
	lines, err := c.call(ctx, request{Op: opWaiting})
	for _, l := range lines {
		if l.Application == nil {
			return nil, errMalformed
		}
		list = append(list, *l.Application)
	}
	return list, err
}

// Decide implements [Invitations].
func (c *Client) Decide(ctx context.Context, account string, approve bool) error {
	op := opDeny
	if approve {
		op = opApprove
	}
	_, err := c.call(ctx, request{Op: op, Account: account})
	return err
}

// invitation works on a request about these.
func (s *Server) invitation(ctx context.Context, r request) (list []reply, err error) {
	switch r.Op {
	case opInvite:
		made, err := s.accounts.Invite(ctx, *r.New)
		return []reply{{Invite: &made}}, err
	case opInvites:
		all, err := s.accounts.Invites(ctx)
		for i := range all {
			list = append(list, reply{Invite: &all[i]})
		}
		return list, err
	case opRevokeInvite:
		return nil, s.accounts.RevokeInvite(ctx, r.Client)
	case opWaiting:
		all, err := s.accounts.Waiting(ctx)
		for i := range all {
			list = append(list, reply{Application: &all[i]})
		}
		return list, err
	}
	return nil, s.accounts.Decide(ctx, r.Account, r.Op == opApprove)
}
