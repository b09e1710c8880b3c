package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

var _ register.Store = (*Registration)(nil)

// Registration keeps invitations and what else belongs to the making of accounts; see
// [DB.Registration].
type Registration struct{ d *DB }

// Registration returns the store of package register. Its writes are for Submit of the
// same DB, and what it does in transactions for [Accounts] of it. Reads see all that was
// submitted before them, and wait for that. Times are kept to the microsecond.
func (d *DB) Registration() *Registration { return &Registration{d} }

// statement is a Write of one statement.
func statement(query string, args ...any) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, query, args...)
		}
		return err
	}
}

// Admit implements [register.Admissions].
func (s *Registration) Admit(a register.Admission) register.Also {
	return func(ctx context.Context, tx any) (refusal, err error) {
		t, err := own(tx)
		if err != nil {
			return nil, err
		}
		if refusal, err = refuse(ctx, t, &a); refusal != nil || err != nil {
			return refusal, err
		}
		if a.Invite != (register.InviteID{}) {
			if err := use(ctx, t, a.Invite); err != nil {
				return nil, err
			}
		}
		if g := a.Guest; g != nil {
			if _, err := t.Exec(ctx, "INSERT OR REPLACE INTO guest (account, inviter, at, befriend) VALUES (?, ?, ?, ?)",
				g.Account.String(), g.Inviter.String(), toMicro(g.At), g.Befriend); err != nil {
				return nil, err
			}
		}
		if p := a.Application; p != nil {
			_, err = t.Exec(ctx, "INSERT OR REPLACE INTO application (account, reason, source, at) VALUES (?, ?, ?, ?)",
				p.Account.String(), p.Reason, p.Source, toMicro(p.At))
		}
		return nil, err
	}
}

// refuse says what is against an account. It changes nothing.
func refuse(ctx context.Context, t *Tx, a *register.Admission) (refusal, err error) {
	if a.Invite != (register.InviteID{}) {
		if ok, err := has(ctx, t, "SELECT EXISTS (SELECT 1 FROM invite WHERE id = ? AND uses > 0)", a.Invite[:]); err != nil || !ok {
			return register.ErrInviteGone, err
		}
	}
	account, local, domain := a.Account.String(), a.Account.Local(), a.Account.Domain()
	taken, err := has(ctx, t, "SELECT EXISTS (SELECT 1 FROM invite WHERE domain = ? AND name = ? AND name <> '' AND kind = ? AND id <> ? AND uses > 0 AND expires > ?)",
		domain, local, int(register.ForAccount), a.Invite[:], toMicro(a.Now))
	if err == nil && !taken {
		taken, err = has(ctx, t, "SELECT EXISTS (SELECT 1 FROM account_name WHERE domain = ? AND skeleton = ? AND account <> ?)",
			domain, a.Skeleton, account)
	}
	if err == nil && !taken && a.Tombstone >= 0 {
		since := int64(0)
		if a.Tombstone > 0 {
			since = a.Now.Add(-a.Tombstone).UnixMicro()
		}
		taken, err = has(ctx, t, "SELECT EXISTS (SELECT 1 FROM removed_name WHERE hash = ? AND removed > ?)", nameHash(account), since)
	}
	if err != nil || taken {
		return register.ErrTaken, err
	}
	if a.Application == nil {
		return nil, nil
	}
	var waiting int
	if err := t.QueryRow(ctx, "SELECT count(*) FROM application").Scan(&waiting); err != nil || waiting >= a.MaxWaiting {
		return register.ErrQueueFull, err
	}
	return nil, nil
}

func has(ctx context.Context, t *Tx, query string, args ...any) (found bool, err error) {
	err = t.QueryRow(ctx, query, args...).Scan(&found)
	return found, err
}

// nameHash is what is kept of a name that was somebody's.
func nameHash(account string) []byte {
	sum := sha256.Sum256([]byte(account))
	return sum[:]
}

// use takes one use away; an invitation that is used up is forgotten.
func use(ctx context.Context, t *Tx, id register.InviteID) error {
	_, err := t.Exec(ctx, "UPDATE invite SET uses = uses - 1 WHERE id = ?", id[:])
	if err == nil {
		_, err = t.Exec(ctx, "DELETE FROM invite WHERE id = ? AND uses <= 0", id[:])
	}
	return err
}

// Use implements [register.Admissions].
func (s *Registration) Use(id register.InviteID) register.Also {
	return func(ctx context.Context, tx any) (refusal, err error) {
		t, err := own(tx)
		if err != nil {
			return nil, err
		}
		ok, err := has(ctx, t, "SELECT EXISTS (SELECT 1 FROM invite WHERE id = ? AND uses > 0)", id[:])
		if err != nil || !ok {
			return register.ErrInviteGone, err
		}
		return nil, use(ctx, t, id)
	}
}

// Redeem implements [register.Admissions].
func (s *Registration) Redeem(ctx context.Context, id register.InviteID, now time.Time) error {
	var gone bool
	err := s.d.do(ctx, func(ctx context.Context, tx *Tx) error {
		ok, err := has(ctx, tx, "SELECT EXISTS (SELECT 1 FROM invite WHERE id = ? AND uses > 0 AND expires > ?)", id[:], toMicro(now))
		if gone = !ok; err != nil || gone {
			return err
		}
		return use(ctx, tx, id)
	})
	switch {
	case err != nil:
		return fmt.Errorf("sqlstore: redeem an invitation: %w", err)
	case gone:
		return register.ErrInviteGone
	}
	return nil
}

// RemoveAccount implements [register.Admissions].
func (s *Registration) RemoveAccount(account mux.Address, removed time.Time) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if err := removeRegistration(ctx, t, account.String()); err != nil || removed.IsZero() {
			return err
		}
		_, err = t.Exec(ctx, "INSERT OR REPLACE INTO removed_name (hash, removed) VALUES (?, ?)", nameHash(account.String()), toMicro(removed))
		return err
	}
}

// removeRegistration removes the rows of an account.
func removeRegistration(ctx context.Context, t *Tx, account string) error {
	for _, query := range []string{
		"DELETE FROM account_name WHERE account = ?",
		"DELETE FROM application WHERE account = ?",
		"DELETE FROM guest WHERE account = ?1 OR inviter = ?1",
		"DELETE FROM invite WHERE inviter = ?",
		"DELETE FROM invite WHERE kind = 3 AND name || '@' || domain = ?", // links that reset its password
	} {
		if _, err := t.Exec(ctx, query, account); err != nil {
			return err
		}
	}
	return nil
}

const inviteColumns = "SELECT id, kind, domain, name, inviter, may_register, befriend, uses, created, expires, note FROM invite"

// Invite implements [register.Invites].
func (s *Registration) Invite(ctx context.Context, id register.InviteID) (register.Invite, error) {
	list, err := s.invites(ctx, inviteColumns+" WHERE id = ?", id[:])
	if err == nil && len(list) == 0 {
		return register.Invite{}, register.ErrNoInvite
	}
	if err != nil {
		return register.Invite{}, err
	}
	return list[0], nil
}

// Invites implements [register.Invites].
func (s *Registration) Invites(ctx context.Context, inviter mux.Address) ([]register.Invite, error) {
	if inviter.IsZero() {
		return s.invites(ctx, inviteColumns+" ORDER BY created, id")
	}
	return s.invites(ctx, inviteColumns+" WHERE inviter = ? ORDER BY created, id", inviter.String())
}

func (s *Registration) invites(ctx context.Context, query string, args ...any) (list []register.Invite, err error) {
	err = s.d.each(ctx, "invitations", query, args, func(rows *sql.Rows) error {
		var (
			i                register.Invite
			id               []byte
			inviter          string
			created, expires int64
		)
		if err := rows.Scan(&id, &i.Kind, &i.Domain, &i.Name, &inviter, &i.MayRegister, &i.Befriend, &i.Uses, &created, &expires, &i.Note); err != nil {
			return err
		}
		if copy(i.ID[:], id) != len(i.ID) {
			return errors.New("an invitation without a name")
		}
		i.Created, i.Expires = fromMicro(created), fromMicro(expires)
		var err error
		if inviter != "" {
			i.Inviter, err = mux.ParseAddress(inviter)
		}
		list = append(list, i)
		return err
	})
	return list, err
}

// AddInvite implements [register.Invites].
func (s *Registration) AddInvite(i register.Invite) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if _, err := t.Exec(ctx, "DELETE FROM invite WHERE expires < ?", i.Created.Add(-24*time.Hour).UnixMicro()); err != nil {
			return err
		}
		_, err = t.Exec(ctx, "INSERT OR REPLACE INTO invite (id, kind, domain, name, inviter, may_register, befriend, uses, created, expires, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			i.ID[:], int(i.Kind), i.Domain, i.Name, i.Inviter.String(), i.MayRegister, i.Befriend, i.Uses, toMicro(i.Created), toMicro(i.Expires), i.Note)
		return err
	}
}

// RemoveInvite implements [register.Invites].
func (s *Registration) RemoveInvite(id register.InviteID) mux.Write {
	return statement("DELETE FROM invite WHERE id = ?", id[:])
}
