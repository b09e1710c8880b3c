package register_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

type command = func(ctx context.Context, e *mux.Event, answer map[string][]string) (mux.Raw, bool, error)

// run runs a command in a turn of romeo.
func (s *site) run(t *testing.T, c command, answer map[string][]string) (form string, completed bool, err error) {
	t.Helper()
	doErr := s.Mux().Do(t.Context(), mux.MustParseAddress(romeo), func(ctx context.Context, e *mux.Event) {
		var raw mux.Raw
		raw, completed, err = c(ctx, e, answer)
		form = string(raw)
	})
	if doErr != nil {
		t.Fatal(doErr)
	}
	return form, completed, err
}

// TestOwnInvites: IV-10: users see what they have handed out, and void it: what is open,
// what has expired and what was used; never a token, and never what is another's.
func TestOwnInvites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, register.Options{Policy: register.ByInvite, Limiter: register.Unlimited{}})
		s.AddAccount(romeo)
		me := mux.MustParseAddress(romeo)
		form, completed, err := s.run(t, s.people.RunRevokeInvites, nil)
		if err != nil || !completed || !strings.Contains(form, "type='result'") {
			t.Errorf("nothing to revoke: %s, %t, %v", form, completed, err)
		}
		used := s.invite(t, register.Invite{Inviter: me})
		old := s.invite(t, register.Invite{Inviter: me, Expires: time.Now().Add(time.Minute)})
		contact := s.invite(t, register.Invite{Inviter: me, Kind: register.ForContact})
		named := s.invite(t, register.Invite{Inviter: me, Name: "ben"})
		foreign := s.invite(t, register.Invite{})
		a := s.stranger(t, 1)
		if got := a.preauth(used) + a.create("bill", password); got != "" {
			t.Fatal(got)
		}
		time.Sleep(2 * time.Minute)
		id := func(token string) string { return register.IDOf(token).String() }

		list := func() (rows string) {
			form, completed, err := s.run(t, s.people.RunListInvites, nil)
			if err != nil || !completed {
				t.Fatal(form, completed, err)
			}
			for _, token := range []string{used, old, contact, named, foreign, id(foreign), id(used), "bill"} {
				if strings.Contains(form, token) {
					t.Errorf("the list has %s: %s", token, form)
				}
			}
			_, form, _ = strings.Cut(form, "</reported>")
			for item := range strings.SplitSeq(strings.TrimSuffix(form, "</x>"), "</item>") {
				var row []string
				for v := range strings.SplitSeq(item, "</value>") {
					if _, v, ok := strings.Cut(v, "<value>"); ok {
						row = append(row, v)
					}
				}
				rows += strings.TrimSpace(strings.Join(row, " ")) + "\n"
			}
			return strings.TrimSpace(rows)
		}
		got := list()
		for _, row := range []string{"used   2000-01-01T00:00:00Z",
			id(old) + " account  expired 2000-01-01T00:00:00Z 2000-01-01T00:01:00Z",
			id(contact) + " contact  open 2000-01-01T00:00:00Z 2000-01-08T00:00:00Z",
			id(named) + " account ben open 2000-01-01T00:00:00Z 2000-01-08T00:00:00Z"} {
			if !strings.Contains(got, row) {
				t.Errorf("no %q in\n%s", row, got)
			}
		}
		if strings.Count(got, "\n") != 3 {
			t.Errorf("list\n%s", got)
		}

		form, completed, err = s.run(t, s.people.RunRevokeInvites, nil)
		if err != nil || completed || strings.Count(form, "<option ") != 2 || !strings.Contains(form, "<value>"+id(contact)+"</value>") || !strings.Contains(form, "label='ben, account, made 2000-01-01T00:00:00Z, valid until") {
			t.Errorf("choice %s, %t, %v", form, completed, err)
		}
		for name, chosen := range map[string][]string{"another's": {id(contact), id(foreign)}, "expired": {id(old)}, "unknown": {"x"}, "a token": {contact}} {
			_, _, err := s.run(t, s.people.RunRevokeInvites, map[string][]string{"invites": chosen})
			var full *mux.Error
			if !errors.As(err, &full) || full.Stanza.Condition != stanza.ItemNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := s.stranger(t, 2).preauth(foreign); got != "" {
			t.Errorf("another's: %q", got)
		}
		for _, chosen := range [][]string{nil, {id(contact), id(named)}} {
			form, completed, err := s.run(t, s.people.RunRevokeInvites, map[string][]string{"invites": chosen})
			if err != nil || !completed || strings.Count(form, "<value>") != len(chosen) {
				t.Errorf("%q: %s, %t, %v", chosen, form, completed, err)
			}
		}
		if got := s.stranger(t, 3).preauth(named); got != noToken {
			t.Errorf("revoked: %q", got)
		}
		if got := list(); strings.Count(got, "\n") != 1 {
			t.Errorf("afterwards\n%s", got)
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestOwnInvitesBroken: what cannot be read is no empty list.
func TestOwnInvitesBroken(t *testing.T) {
	t.Parallel()
	store := &unlisted{}
	s := newSite(t, register.Options{Policy: register.ByInvite, Store: store})
	for n := range 2 {
		store.invites, store.guests = n == 0, n == 1
		if _, _, err := s.run(t, s.people.RunListInvites, nil); words(t, err) != internal {
			t.Errorf("list: %v", err)
		}
	}
	store.invites = true
	if _, _, err := s.run(t, s.people.RunRevokeInvites, nil); words(t, err) != internal {
		t.Errorf("revoke: %v", err)
	}
}

// unlisted is a store that cannot list.
type unlisted struct {
	register.Memory
	invites, guests bool
}

func (u *unlisted) Invites(ctx context.Context, a mux.Address) ([]register.Invite, error) {
	if u.invites {
		return nil, errors.New("down")
	}
	return u.Memory.Invites(ctx, a)
}

func (u *unlisted) Guests(ctx context.Context, a mux.Address) ([]register.Guest, error) {
	if u.guests {
		return nil, errors.New("down")
	}
	return u.Memory.Guests(ctx, a)
}
