package usercmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// clients lists the clients of an account, one a line.
func (c *Command) clients(ctx context.Context, accounts control.Accounts, account string) error {
	list, err := accounts.Clients(ctx, account)
	if errors.Is(err, scram.ErrNoAccount) {
		return fmt.Errorf("there is no account %s", account)
	}
	if err != nil {
		return err
	}
	for _, x := range list {
		if _, err := fmt.Fprintln(c.Stdout, describe(x)); err != nil {
			return err
		}
	}
	return nil
}

// describe is a line: what a client says about itself is quoted, since it could
// make a terminal do things.
func describe(x control.ClientInfo) string {
	parts := []string{x.ID}
	if x.Connected {
		parts = append(parts, "connected")
	} else {
		parts = append(parts, "last seen "+x.Last.UTC().Format(time.RFC3339))
	}
	if x.Password {
		parts = append(parts, "knows the password")
	}
	if x.Token {
		parts = append(parts, "has a token")
	}
	if x.Resource != "" {
		parts = append(parts, "session "+strconv.QuoteToGraphic(x.Resource))
	}
	for _, s := range []string{x.Software, x.Device} {
		if s != "" {
			parts = append(parts, strconv.QuoteToGraphic(s))
		}
	}
	return strings.Join(parts, ", ")
}

// prepareRevoke checks the arguments of revoke.
func (c *Command) prepareRevoke(args []string) (work, error) {
	if len(args) != 2 || args[1] == "" {
		return nil, &usageError{"revoke wants an account, NAME@DOMAIN, and a client as clients lists it"}
	}
	account, err := parseAccount(args[0], false)
	if err != nil {
		return nil, err
	}
	id := args[1]
	return c.change(account, "has lost the client "+strconv.QuoteToGraphic(id), func(ctx context.Context, a control.Accounts) error {
		err := a.Revoke(ctx, account, id)
		if errors.Is(err, sasl2.ErrNoClient) {
			return fmt.Errorf("%s has no client %s", account, strconv.QuoteToGraphic(id))
		}
		return err
	}), nil
}
