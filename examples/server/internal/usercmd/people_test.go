package usercmd

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/register"
)

// people are invitations and those who wait: there is one of each.
type people struct{ did []string }

var until = time.Unix(1_700_000_000, 0).UTC()

func (p *people) Invite(_ context.Context, n control.NewInvite) (control.InviteInfo, error) {
	if n.Name == "alice" && !n.Reset {
		return control.InviteInfo{}, register.ErrTaken
	}
	kind := "account"
	if n.Reset {
		kind = "reset"
	}
	return control.InviteInfo{ID: "1234", Kind: kind, Domain: n.Domain, Name: n.Name, Uses: n.Uses, Expires: until.Add(n.For), Note: n.Note,
		URI: "xmpp:" + n.Domain + "?register;preauth=x"}, nil
}

func (p *people) Invites(context.Context) ([]control.InviteInfo, error) {
	return []control.InviteInfo{
		{ID: "1234", Kind: "account", Domain: "example.org", Uses: 2, Created: until.Add(-time.Hour), Expires: until, Note: "\x1b[2J"},
		{ID: "5678", Kind: "contact", Domain: "example.org", Name: "carol", Inviter: "alice@example.org", Uses: 1, Created: until.Add(-time.Hour), Expires: until},
	}, nil
}

func (p *people) RevokeInvite(_ context.Context, id string) error {
	if id != "1234" {
		return register.ErrNoInvite
	}
	return nil
}

func (p *people) Waiting(context.Context) ([]control.Application, error) {
	return []control.Application{{Account: "carol@example.org", Reason: "\x1b[2J", Source: "192.0.2.1", At: until}}, nil
}

func (p *people) Decide(_ context.Context, account string, approve bool) error {
	if account != "carol@example.org" {
		return register.ErrNoApplication
	}
	p.did = append(p.did, map[bool]string{true: "approve", false: "deny"}[approve])
	return nil
}
