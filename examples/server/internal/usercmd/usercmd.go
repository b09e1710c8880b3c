// Package usercmd is the operator's command for accounts:
//
//	user add NAME@DOMAIN
//	user passwd NAME@DOMAIN
//	user del NAME@DOMAIN
//	user disable NAME@DOMAIN
//	user enable NAME@DOMAIN
//	user list
//	user clients NAME@DOMAIN
//	user revoke NAME@DOMAIN CLIENT
//	user pending
//	user approve NAME@DOMAIN
//	user deny NAME@DOMAIN
//
// It works through the server that runs on the data directory, or on the store
// itself if none does.
package usercmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"mellium.im/xmpp/jid"
)

// Exit statuses.
const (
	Success = 0
	Failure = 1
	Usage   = 2
)

// Command is what the command works with.
type Command struct {
	// Data is the data directory, made if it is missing and no server runs.
	Data string
	// Open opens the accounts of the store. It is called if no server runs,
	// and what it returns is closed when the work is done.
	Open func(ctx context.Context) (accounts control.Accounts, closer io.Closer, err error)
	// Stdin gives the password: its first line, or what is typed if it is a
	// terminal.
	Stdin *os.File
	// Stdout gets what was done, Stderr questions, warnings and the reason of
	// a failure, in one line.
	Stdout, Stderr io.Writer
}

// Run runs the command with the arguments that follow the word user, and
// returns the exit status: 0 for success, 1 for failure, 2 for wrong usage.
func (c *Command) Run(ctx context.Context, args []string) int {
	work, err := c.prepare(ctx, args)
	return c.finish(ctx, "user", work, err)
}

// finish does the work and reports what was wrong.
func (c *Command) finish(ctx context.Context, name string, work work, err error) int {
	if err == nil {
		err = c.withAccounts(ctx, work)
	}
	var wrong *usageError
	switch {
	case err == nil:
		return Success
	case errors.As(err, &wrong):
		fmt.Fprintln(c.Stderr, name+":", oneLine(err))
		return Usage
	default:
		fmt.Fprintln(c.Stderr, name+":", oneLine(err))
		return Failure
	}
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

const wanted = "want add, passwd, del, disable, enable, list, clients, revoke, pending, approve or deny"

// work is what is done to accounts once everything it needs is known.
type work func(context.Context, control.Accounts) error

// prepare checks the arguments and gets the password.
func (c *Command) prepare(ctx context.Context, args []string) (work, error) {
	if len(args) == 0 {
		return nil, &usageError{wanted}
	}
	verb, args := args[0], args[1:]
	if verb == "list" || verb == "pending" {
		if len(args) != 0 {
			return nil, &usageError{verb + " wants no argument"}
		}
		if verb == "pending" {
			return c.pending, nil
		}
		return c.list, nil
	}
	if verb == "revoke" {
		return c.prepareRevoke(args)
	}
	if !slices.Contains([]string{"add", "passwd", "del", "disable", "enable", "clients", "approve", "deny"}, verb) {
		return nil, &usageError{fmt.Sprintf("%q: %s", verb, wanted)}
	}
	if len(args) != 1 {
		return nil, &usageError{verb + " wants one account, NAME@DOMAIN"}
	}
	account, err := parseAccount(args[0], verb == "add")
	if err != nil {
		return nil, err
	}
	switch verb {
	case "approve", "deny":
		return c.decide(account, verb == "approve"), nil
	case "clients":
		return func(ctx context.Context, a control.Accounts) error { return c.clients(ctx, a, account) }, nil
	case "del":
		return c.change(account, "removed", func(ctx context.Context, a control.Accounts) error {
			return a.Remove(ctx, account)
		}), nil
	case "disable", "enable":
		return c.change(account, verb+"d", func(ctx context.Context, a control.Accounts) error {
			return a.SetDisabled(ctx, account, verb == "disable")
		}), nil
	}
	password, err := c.password(ctx, account)
	if err != nil {
		return nil, err
	}
	if verb == "passwd" {
		return c.change(account, "has a new password", func(ctx context.Context, a control.Accounts) error {
			return a.SetPassword(ctx, account, password)
		}), nil
	}
	return c.change(account, "added", func(ctx context.Context, a control.Accounts) error {
		return a.Add(ctx, account, password)
	}), nil
}

// change reports what was done to the account, or what about it was wrong.
func (c *Command) change(account, done string, do work) work {
	return func(ctx context.Context, accounts control.Accounts) error {
		err := do(ctx, accounts)
		switch {
		case errors.Is(err, scram.ErrExists):
			return fmt.Errorf("%s exists already", account)
		case errors.Is(err, register.ErrTaken):
			return fmt.Errorf("%s is reserved for somebody who is invited, or looks like another account", account)
		case errors.Is(err, scram.ErrNoAccount):
			return fmt.Errorf("there is no account %s", account)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(c.Stdout, account, done)
		return err
	}
}

func (c *Command) list(ctx context.Context, accounts control.Accounts) error {
	names, err := accounts.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if _, err := fmt.Fprintln(c.Stdout, name); err != nil {
			return err
		}
	}
	return nil
}

// withAccounts does the work where the accounts are.
func (c *Command) withAccounts(ctx context.Context, do work) error {
	err := do(ctx, control.NewClient(c.Data))
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := control.Acquire(ctx, c.Data)
	if errors.Is(err, control.ErrRunning) { // it has started meanwhile
		return do(ctx, control.NewClient(c.Data))
	}
	if err != nil {
		return err
	}
	accounts, closer, err := c.Open(ctx)
	if err == nil {
		err = errors.Join(do(ctx, accounts), closer.Close())
	}
	return errors.Join(err, lock.Release())
}

// parseAccount returns the prepared bare JID of an account. New ones have
// stricter rules.
func parseAccount(text string, isNew bool) (string, error) {
	local, domain, resource, err := jid.SplitString(text)
	if err != nil || local == "" || resource != "" || strings.Contains(text, "/") {
		return "", &usageError{fmt.Sprintf("%q: want NAME@DOMAIN", text)}
	}
	prepare := scram.PrepareLocalpart
	if isNew {
		prepare = func(name string) (string, error) { return scram.PrepareName(name, 0) }
	}
	if local, err = prepare(local); err != nil {
		return "", fmt.Errorf("%q: %s", text, withoutPackage(err))
	}
	account, err := jid.New(local, domain, "")
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return account.String(), nil
}

// withoutPackage is the text of an error without the package it begins with.
func withoutPackage(err error) string {
	return strings.TrimPrefix(err.Error(), "scram: ")
}

func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
