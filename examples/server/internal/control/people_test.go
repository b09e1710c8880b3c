package control

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/register"
)

// people are invitations and those who wait: there is one of each.
type people struct{ did []string }

var until = time.Unix(1_700_000_000, 0).UTC()

func (p *people) Invite(_ context.Context, n NewInvite) (InviteInfo, error) {
	if n.Name == "alice" && !n.Reset {
		return InviteInfo{}, register.ErrTaken
	}
	kind := "account"
	if n.Reset {
		kind = "reset"
	}
	return InviteInfo{ID: "1234", Kind: kind, Domain: n.Domain, Name: n.Name, Uses: n.Uses, Expires: until.Add(n.For), Note: n.Note,
		URI: "xmpp:" + n.Domain + "?register;preauth=x"}, nil
}

func (p *people) Invites(context.Context) ([]InviteInfo, error) {
	return []InviteInfo{
		{ID: "1234", Kind: "account", Domain: "example.org", Uses: 2, Expires: until, Note: "\x1b[2J"},
		{ID: "5678", Kind: "contact", Domain: "example.org", Name: "carol", Inviter: "alice@example.org", Uses: 1, Expires: until},
	}, nil
}

func (p *people) RevokeInvite(_ context.Context, id string) error {
	if id != "1234" {
		return register.ErrNoInvite
	}
	return nil
}

func (p *people) Waiting(context.Context) ([]Application, error) {
	return []Application{{Account: "carol@example.org", Reason: "\x1b[2J", Source: "192.0.2.1", At: until}}, nil
}

func (p *people) Decide(_ context.Context, account string, approve bool) error {
	if account != "carol@example.org" {
		return register.ErrNoApplication
	}
	p.did = append(p.did, map[bool]string{true: "approve", false: "deny"}[approve])
	return nil
}

// TestInvitations goes through the socket.
func TestInvitations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := &memory{accounts: map[string]string{}}
	start(t, dir, Serving(m, func() []string { return []string{"example.org"} }), io.Discard)
	c, ctx := NewClient(dir), t.Context()
	want := InviteInfo{ID: "1234", Kind: "account", Domain: "example.org", Name: "carol", Uses: 1, Expires: until.Add(time.Hour), Note: "<note>", URI: "xmpp:example.org?register;preauth=x"}
	got, err := c.Invite(ctx, NewInvite{Name: "carol", Uses: 1, For: time.Hour, Note: "<note>"})
	if err != nil || got != want {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	if _, err := c.Invite(ctx, NewInvite{Domain: "example.net"}); !errors.Is(err, ErrDomain) {
		t.Errorf("foreign domain: %v", err)
	}
	if _, err := c.Invite(ctx, NewInvite{Name: "alice"}); !errors.Is(err, register.ErrTaken) {
		t.Errorf("taken: %v", err)
	}
	if list, err := c.Invites(ctx); err != nil || len(list) != 2 || list[1].Inviter != "alice@example.org" {
		t.Errorf("list %+v, error %v", list, err)
	}
	if err := c.RevokeInvite(ctx, "1234"); err != nil {
		t.Error(err)
	}
	if err := c.RevokeInvite(ctx, "9"); !errors.Is(err, register.ErrNoInvite) {
		t.Errorf("unknown: %v", err)
	}
	if list, err := c.Waiting(ctx); err != nil || len(list) != 1 || list[0].Account != "carol@example.org" {
		t.Errorf("waiting %+v, error %v", list, err)
	}
	if err := errors.Join(c.Decide(ctx, "carol@example.org", true), c.Decide(ctx, "carol@example.org", false)); err != nil {
		t.Error(err)
	}
	if err := c.Decide(ctx, "bob@example.org", true); !errors.Is(err, register.ErrNoApplication) {
		t.Errorf("waits not: %v", err)
	}
	if want := []string{"approve", "deny"}; !slices.Equal(m.did, want) {
		t.Errorf("did %q, want %q", m.did, want)
	}
}
