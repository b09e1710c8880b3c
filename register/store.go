package register

import (
	"context"
	"errors"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Refusals of a [Store].
var (
	// ErrNoInvite: there is no such invitation, or it is used up.
	ErrNoInvite = errors.New("register: no such invitation")
	// ErrInviteGone: somebody else was faster with the invitation, or it was revoked.
	ErrInviteGone = errors.New("register: the invitation is used up")
	// ErrTaken: the name is taken, reserved, was somebody's, or looks like another.
	ErrTaken = errors.New("register: the name is taken")
	// ErrQueueFull: too many wait for approval.
	ErrQueueFull = errors.New("register: too many wait for approval")
	// ErrNoApplication: nobody waits for approval under that name.
	ErrNoApplication = errors.New("register: nobody of that name waits for approval")
)

// Also is done in the transaction that makes or changes an account. A refusal means
// that it may not be and that nothing was changed; an err that the store is broken.
// tx is as in [mux.Write].
type Also = func(ctx context.Context, tx any) (refusal, err error)

// Store keeps what registration has to remember beside accounts. Implementations must
// be safe for concurrent use; reads see all that was written before. Package storetest
// checks them.
type Store interface {
	Invites
	Admissions
	Queue
	Guests
}

// Invites keeps invitations.
type Invites interface {
	// Invite returns an invitation, also one that has expired, or [ErrNoInvite].
	Invite(ctx context.Context, id InviteID) (Invite, error)
	// Invites returns those of an inviter, or all if that is zero, oldest first.
	Invites(ctx context.Context, inviter mux.Address) ([]Invite, error)
	// AddInvite keeps a new one. Those that expired more than a day before it was
	// created are forgotten.
	AddInvite(i Invite) mux.Write
	// RemoveInvite forgets one; one that is not there is no error.
	RemoveInvite(id InviteID) mux.Write
}

// Admissions decides in transactions that make accounts.
type Admissions interface {
	// Admit notes a new account, or refuses: [ErrInviteGone], [ErrTaken],
	// [ErrQueueFull].
	Admit(a Admission) Also
	// Use takes one use from an invitation, or refuses with [ErrInviteGone].
	Use(id InviteID) Also
	// Redeem is Use in a transaction of its own; an invitation that has expired is
	// [ErrInviteGone] too.
	Redeem(ctx context.Context, id InviteID, now time.Time) error
	// RemoveAccount forgets all about an account and voids its invitations. Unless
	// removed is zero its name is noted as one that was somebody's until then.
	RemoveAccount(account mux.Address, removed time.Time) mux.Write
}

// Admission is an account that is going to be made.
type Admission struct {
	Account  mux.Address
	Skeleton string // see [Skeleton]; no other account of the domain may have it
	// Invite is what is used for it; zero for none. Whether it has expired is not
	// looked at (XEP-0445 §4), but no other may reserve the name.
	Invite InviteID
	// Guest is noted with the account if there is an inviter.
	Guest *Guest
	// Application is noted if somebody has to approve first.
	Application *Application
	MaxWaiting  int // applications at most, this one included
	// Tombstone is how long a name that was removed cannot be had; 0 means for ever,
	// less is not at all.
	Tombstone time.Duration
	Now       time.Time
}

// Queue keeps who waits for approval.
type Queue interface {
	// Applications returns them, oldest first.
	Applications(ctx context.Context) ([]Application, error)
	// Decided forgets an application.
	Decided(account mux.Address) mux.Write
}

// Application is an account that waits for approval.
type Application struct {
	Account mux.Address
	Reason  string // what the applicant says
	Source  string // where from
	At      time.Time
}

// Guests keeps who was invited by whom.
type Guests interface {
	// Guests returns those whom an account has invited, or all if it is zero, oldest
	// first.
	Guests(ctx context.Context, inviter mux.Address) ([]Guest, error)
	// Befriended notes that a guest and his inviter are contacts now.
	Befriended(account mux.Address) mux.Write
}

// Guest is an account that was made with somebody's invitation.
type Guest struct {
	Account, Inviter mux.Address
	At               time.Time
	// Befriend says that they are still to be made contacts of each other.
	Befriend bool
}
