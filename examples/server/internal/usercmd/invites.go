package usercmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
)

// RunInvite runs the command invite with the arguments that follow that word, and
// returns the exit status:
//
//	invite [create] [NAME@DOMAIN | DOMAIN] [uses=N] [days=N] [note=TEXT]
//	invite list
//	invite show ID
//	invite revoke ID
//	invite reset NAME@DOMAIN
func (c *Command) RunInvite(ctx context.Context, args []string) int {
	work, err := c.prepareInvite(args)
	return c.finish(ctx, "invite", work, err)
}

func (c *Command) prepareInvite(args []string) (work, error) {
	verb := "create"
	if len(args) > 0 {
		switch args[0] {
		case "create", "list", "show", "revoke", "reset":
			verb, args = args[0], args[1:]
		}
	}
	switch {
	case verb == "list" && len(args) == 0:
		return c.listInvites, nil
	case verb == "list":
		return nil, &usageError{"list wants no argument"}
	case verb == "show", verb == "revoke":
		if len(args) != 1 || args[0] == "" {
			return nil, &usageError{verb + " wants an invitation as list names it"}
		}
		if verb == "show" {
			return c.showInvite(args[0]), nil
		}
		return c.revokeInvite(args[0]), nil
	case verb == "reset":
		if len(args) != 1 {
			return nil, &usageError{"reset wants one account, NAME@DOMAIN"}
		}
		account, err := parseAccount(args[0], false)
		if err != nil {
			return nil, err
		}
		name, domain, _ := strings.Cut(account, "@")
		return c.invite(control.NewInvite{Name: name, Domain: domain, Reset: true}), nil
	}
	n, err := parseInvite(args)
	if err != nil {
		return nil, err
	}
	return c.invite(n), nil
}

// parseInvite reads the arguments of create.
func parseInvite(args []string) (n control.NewInvite, err error) {
	for _, a := range args {
		key, value, option := strings.Cut(a, "=")
		switch {
		case option && key == "uses":
			n.Uses, err = strconv.Atoi(value)
		case option && key == "days":
			var days int
			days, err = strconv.Atoi(value)
			n.For = time.Duration(days) * 24 * time.Hour
			if days < 1 || days > 3650 {
				err = strconv.ErrRange
			}
		case option && key == "note":
			n.Note = value
		case option:
			return n, &usageError{fmt.Sprintf("%q: want uses=N, days=N or note=TEXT", a)}
		case n.Domain != "":
			return n, &usageError{"create wants one NAME@DOMAIN or DOMAIN"}
		case strings.Contains(a, "@"):
			account, err := parseAccount(a, true)
			if err != nil {
				return n, err
			}
			n.Name, n.Domain, _ = strings.Cut(account, "@")
		default:
			n.Domain = a
		}
		if err != nil || n.Uses < 0 {
			return n, &usageError{fmt.Sprintf("%q: want a number above 0", a)}
		}
	}
	if n.Name != "" && n.Uses > 1 {
		return n, &usageError{"a name can be had once only"}
	}
	return n, nil
}

// invite makes an invitation and prints its link alone, for scripts; what there is to
// know beside it goes to Stderr. People at a terminal get a QR code of it, too.
func (c *Command) invite(n control.NewInvite) work {
	return func(ctx context.Context, a control.Accounts) error {
		made, err := a.Invite(ctx, n)
		switch {
		case errors.Is(err, register.ErrTaken):
			return fmt.Errorf("%s@%s is taken, or reserved for somebody", n.Name, n.Domain)
		case errors.Is(err, scram.ErrNoAccount):
			return fmt.Errorf("there is no account %s@%s", n.Name, n.Domain)
		case err != nil:
			return err
		}
		link := made.URI
		if made.Landing != "" {
			link = made.Landing
		}
		if _, err := fmt.Fprintln(c.Stdout, link); err != nil {
			return err
		}
		if isTerminal(c.Stdout) {
			if _, err := io.WriteString(c.Stdout, qrText(link)); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(c.Stderr, "%s, valid until %s\n", made.ID, made.Expires.UTC().Format(time.RFC3339))
		return err
	}
}

// noInvite is the error for an invitation that there is not.
func noInvite(id string) error {
	return fmt.Errorf("there is no invitation %s", strconv.QuoteToGraphic(id))
}

func (c *Command) revokeInvite(id string) work {
	return func(ctx context.Context, a control.Accounts) error {
		err := a.RevokeInvite(ctx, id)
		if errors.Is(err, register.ErrNoInvite) {
			return noInvite(id)
		}
		return c.say(err, "%s is void", id)
	}
}

// showInvite tells what is known of one, without its link, which nobody can ask for
// again.
func (c *Command) showInvite(id string) work {
	return func(ctx context.Context, a control.Accounts) error {
		list, err := a.Invites(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(i control.InviteInfo) bool { return i.ID == id })
		if at < 0 {
			return noInvite(id)
		}
		i := list[at]
		lines := [][2]string{{"kind", i.Kind}, {"domain", i.Domain}, {"for", i.Name}, {"by", i.Inviter}, {"left", strconv.Itoa(i.Uses)},
			{"made", i.Created.UTC().Format(time.RFC3339)}, {"until", i.Expires.UTC().Format(time.RFC3339)}}
		if i.Note != "" {
			lines = append(lines, [2]string{"note", strconv.QuoteToGraphic(i.Note)})
		}
		for _, l := range lines {
			if l[1] == "" {
				continue
			}
			if err := c.say(nil, "%-7s %s", l[0], l[1]); err != nil {
				return err
			}
		}
		return nil
	}
}

func (c *Command) listInvites(ctx context.Context, a control.Accounts) error {
	list, err := a.Invites(ctx)
	if err != nil {
		return err
	}
	for _, i := range list {
		parts := []string{i.ID, i.Kind}
		if i.Name != "" {
			parts = append(parts, i.Name+"@"+i.Domain)
		} else {
			parts = append(parts, i.Domain)
		}
		if i.Inviter != "" {
			parts = append(parts, "by "+i.Inviter)
		}
		parts = append(parts, fmt.Sprintf("%d left", i.Uses), "until "+i.Expires.UTC().Format(time.RFC3339))
		if i.Note != "" {
			parts = append(parts, strconv.QuoteToGraphic(i.Note))
		}
		if _, err := fmt.Fprintln(c.Stdout, strings.Join(parts, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// pending lists those who wait for approval. What they say is quoted, since it could
// make a terminal do things.
func (c *Command) pending(ctx context.Context, a control.Accounts) error {
	list, err := a.Waiting(ctx)
	if err != nil {
		return err
	}
	for _, w := range list {
		line := w.Account + ", since " + w.At.UTC().Format(time.RFC3339) + ", from " + w.Source
		if w.Reason != "" {
			line += ", " + strconv.QuoteToGraphic(w.Reason)
		}
		if _, err := fmt.Fprintln(c.Stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// decide lets somebody in, or not.
func (c *Command) decide(account string, approve bool) work {
	return func(ctx context.Context, a control.Accounts) error {
		err := a.Decide(ctx, account, approve)
		if errors.Is(err, register.ErrNoApplication) {
			return fmt.Errorf("%s does not wait for approval", account)
		}
		done := "denied"
		if approve {
			done = "approved"
		}
		return c.say(err, "%s %s", account, done)
	}
}

// say tells what was done, if it was.
func (c *Command) say(err error, format string, a ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(c.Stdout, format+"\n", a...)
	}
	return err
}
