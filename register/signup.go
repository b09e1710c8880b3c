package register

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// Policy says who may make an account from outside.
type Policy uint8

// The policies.
const (
	Closed     Policy = iota // nobody
	ByInvite                 // who has an invitation
	ByApproval               // who has an invitation, and others once the operator agrees
	Open                     // everybody
)

// Path says by which way a request has come.
type Path string

// The paths.
const (
	InBand   Path = "in-band"  // XEP-0077
	Web      Path = "web"      // a page in a browser
	Operator Path = "operator" // a tool of the operator: no policy, limit, reserved name or challenge
)

// Request asks for an account.
type Request struct {
	Path   Path
	Source netip.Addr // who asks; invalid if that is not known
	Domain string     // the served domain
	Name   string     // as typed
	// Password is as typed, too.
	Password string
	// Reason is what somebody says who needs the operator's approval.
	Reason string
	// Grant is the invitation that was shown, see [Extension.Present]; nil for none.
	Grant *Grant
	// Solved says that the challenge was solved, where one is set.
	Solved bool
}

// Result is what has become of a request.
type Result struct {
	Account mux.Address
	Waiting bool // for the operator's approval: nobody can log in yet
	Reset   bool // it is an old account, with a new password
}

// Grant is an invitation that was shown, and was valid then.
type Grant struct{ invite Invite }

// Invite returns the invitation.
func (g *Grant) Invite() Invite { return g.invite }

// Name is the one that the account has to have; empty for a free choice.
func (g *Grant) Name() string { return g.invite.Name }

// Inviter is who invites; zero for the operator.
func (g *Grant) Inviter() mux.Address { return g.invite.Inviter }

// Reset reports whether it is for a new password of an old account.
func (g *Grant) Reset() bool { return g.invite.Kind == ForReset }

// Audit is what is noted of a try: nothing that is secret.
type Audit struct {
	At      time.Time
	Path    Path
	Source  netip.Addr
	Account mux.Address // as far as it was found out
	Invite  InviteID    // zero for none
	Inviter mux.Address
	Waiting bool
	Err     error // nil if it was made
}

// SignUp makes an account, or sets the password of one for which the invitation says
// so. It is what all ways to an account lead to (auth-register §4.4). It waits for
// stores and must not be called in a turn. The error is one of those above, or a
// failure.
func (x *Extension) SignUp(ctx context.Context, r Request) (Result, error) {
	if err := x.admits(&r); err != nil {
		return Result{}, err
	}
	if r.Path == Operator {
		return x.signUp(ctx, &r)
	}
	end, err := x.begin(ctx, r.Source, r.Domain)
	if err != nil {
		return Result{}, err
	}
	how := Failed
	defer func() { end(how) }()
	res, err := x.signUp(ctx, &r)
	if err == nil {
		if how = Made; res.Reset {
			how = Neutral
		}
	}
	return res, err
}

// admits is what the policy says, before anything is looked at (auth-register AB-3).
func (x *Extension) admits(r *Request) error {
	switch {
	case r.Path == Operator, r.Grant != nil && r.Grant.Reset():
		return nil
	case x.opt.Policy == Closed:
		return ErrClosed
	case r.Grant != nil && !r.Grant.invite.Registers():
		return ErrUninvited // to a contact list only
	case r.Grant != nil:
		return nil
	case x.opt.Policy == ByInvite:
		return ErrUninvited
	}
	return nil
}

// Policy says who may make an account.
func (x *Extension) Policy() Policy { return x.opt.Policy }

// Challenge makes a challenge for somebody without an invitation, who will ask for an
// account in another way than in-band and say in [Request.Solved] how that went; nil if
// none is set.
func (x *Extension) Challenge(ctx context.Context, domain string) (Challenge, error) {
	if x.opt.Challenger == nil {
		return nil, nil
	}
	return x.opt.Challenger.Challenge(ctx, domain)
}

// begin asks the limiter.
func (x *Extension) begin(ctx context.Context, source netip.Addr, domain string) (end func(Ending), err error) {
	end, retry := x.opt.Limiter.Begin(source, domain)
	if end == nil {
		if n, ok := x.refusals.note(time.Now()); ok {
			x.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "registration refused by the limiter",
				slog.String("source", source.String()), slog.Duration("retry", retry), slog.Int("refused", n))
		}
		return nil, ErrLimited
	}
	return end, nil
}

// refusals counts what the limiter has refused, to tell of it once a second: who floods
// the server should not flood its log.
type refusals struct {
	mu   sync.Mutex
	told time.Time
	n    int // since then
}

// note counts one, and returns how many there were if it is time to tell.
func (r *refusals) note(now time.Time) (n int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if now.Sub(r.told) < time.Second {
		return 0, false
	}
	n, r.n, r.told = r.n, 0, now
	return n, true
}

// signUp does it and has it noted.
func (x *Extension) signUp(ctx context.Context, r *Request) (res Result, err error) {
	res.Account, err = x.prepare(r)
	if err == nil && x.opt.Before != nil {
		err = x.opt.Before(ctx, r, res.Account)
	}
	switch {
	case err != nil:
	case r.Grant != nil && r.Grant.Reset():
		res.Reset = true
		err = x.reset(ctx, r, res.Account)
	default:
		res.Waiting = r.Path != Operator && r.Grant == nil && x.opt.Policy == ByApproval
		err = x.create(ctx, r, &res)
	}
	if x.opt.Audit != nil {
		a := Audit{At: time.Now(), Path: r.Path, Source: r.Source, Account: res.Account, Waiting: res.Waiting, Err: err}
		if r.Grant != nil {
			a.Invite, a.Inviter = r.Grant.invite.ID, r.Grant.invite.Inviter
		}
		x.opt.Audit(ctx, a)
	}
	if err != nil {
		return Result{}, err
	}
	if x.opt.Created != nil && !res.Reset && !res.Waiting {
		x.opt.Created(ctx, res.Account, r.Source)
	}
	return res, nil
}

// prepare finds the account that is asked for, without a look into a store.
func (x *Extension) prepare(r *Request) (mux.Address, error) {
	var none mux.Address
	if x.opt.Challenger != nil && r.Path != Operator && r.Grant == nil && !r.Solved {
		return none, ErrChallenge
	}
	if r.Name == "" || r.Password == "" {
		return none, ErrIncomplete // XEP-0077 §3.1
	}
	local, err := x.accounts.Prepare(r.Name)
	if r.Grant != nil && r.Grant.Reset() {
		// The account may be older than the rules for new names.
		if j, e := jid.New(r.Name, r.Domain, ""); e == nil {
			local, err = j.Localpart(), nil
		}
	}
	if err != nil {
		return none, refused(err, ErrName)
	}
	j, err := jid.New(local, r.Domain, "")
	if err != nil || j.Localpart() != local {
		return none, ErrName // two preparations that disagree would make an account nobody can use
	}
	account := mux.AddressOf(j)
	switch {
	case r.Grant != nil && r.Grant.invite.Domain != r.Domain:
		return account, ErrToken
	case r.Grant != nil && r.Grant.Name() != "" && r.Grant.Name() != local:
		return account, ErrOtherName
	case r.Grant != nil && r.Grant.Name() != "" && r.Grant.Inviter().IsZero(), r.Path == Operator:
		return account, nil // the operator has chosen it
	case x.opt.Reserved(local):
		return account, ErrTaken
	}
	return account, nil
}

// maxReason bounds what an applicant may say, in octets.
const maxReason = 2000

// create makes the account.
func (x *Extension) create(ctx context.Context, r *Request, res *Result) error {
	a := Admission{
		Account: res.Account, Skeleton: Skeleton(res.Account.Local()),
		MaxWaiting: x.opt.MaxWaiting, Tombstone: x.opt.Tombstone, Now: time.Now(),
	}
	if r.Path == Operator {
		a.Tombstone = -1
	}
	var guest *Guest
	if r.Grant != nil {
		i := &r.Grant.invite
		// He may have been disabled since it was shown.
		switch stands, err := x.stands(ctx, i); {
		case err != nil:
			return err
		case !stands:
			return ErrInviteGone
		}
		a.Invite = i.ID
		if !i.Inviter.IsZero() {
			guest = &Guest{Account: res.Account, Inviter: i.Inviter, At: a.Now, Befriend: i.Befriend || i.Kind == ForContact}
			a.Guest = guest
		}
	}
	if res.Waiting {
		reason := r.Reason
		if len(reason) > maxReason {
			return ErrIncomplete
		}
		a.Application = &Application{Account: res.Account, Reason: reason, Source: r.Source.String(), At: a.Now}
	}
	err := x.accounts.CreateWith(ctx, res.Account.String(), r.Password, res.Waiting, x.opt.Store.Admit(a))
	if err != nil {
		return refused(err, ErrPassword)
	}
	if guest != nil && guest.Befriend {
		x.befriend(ctx, *guest)
	}
	return nil
}

// reset sets a new password by an operator's link (auth-register IV-9): what follows
// is as after a change by the account itself.
func (x *Extension) reset(ctx context.Context, r *Request, account mux.Address) error {
	switch stands, err := x.stands(ctx, &r.Grant.invite); {
	case err != nil:
		return err
	case !stands:
		return ErrInviteGone
	}
	err := x.accounts.SetPasswordWith(ctx, account.String(), r.Password, x.opt.Store.Use(r.Grant.invite.ID))
	if err != nil {
		return refused(err, ErrPassword)
	}
	m := x.mux.Load()
	if m == nil {
		return nil
	}
	if err := m.Do(ctx, account, func(ctx context.Context, e *mux.Event) { x.changed(ctx, e, nil) }); err != nil {
		// The password is another one now, and the link is used up, so it is no error to
		// whoever has asked.
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "after a new password by a link", slog.String("account", account.String()), slog.Any("err", err))
	}
	return nil
}
