package usercmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/propolis-im/propolis/scram"
	"golang.org/x/term"
)

// maxInput bounds the line with a password, in bytes; what passwords may have
// is less.
const maxInput = 4096

// password gets a password that can be used. It is the operator's choice, so
// one that users would not be allowed only causes a warning.
func (c *Command) password(ctx context.Context, account string) (string, error) {
	var password string
	var err error
	if term.IsTerminal(int(c.Stdin.Fd())) {
		password, err = c.ask(ctx, account)
	} else {
		password, err = readLine(c.Stdin)
	}
	if err != nil {
		return "", err
	}
	if password == "" {
		return "", errors.New("the password is empty")
	}
	if _, err := scram.PreparePassword(password); err != nil {
		return "", errors.New(withoutPackage(err))
	}
	if _, err := scram.CheckPassword(password); err != nil {
		fmt.Fprintln(c.Stderr, "user: warning:", weakness(err))
	}
	return password, nil
}

func weakness(err error) string {
	switch {
	case errors.Is(err, scram.ErrPasswordShort):
		return fmt.Sprintf("the password has fewer than %d characters", scram.DefaultMinPassword)
	case errors.Is(err, scram.ErrPasswordLong):
		return fmt.Sprintf("the password has more than %d characters", scram.DefaultMaxPassword)
	case errors.Is(err, scram.ErrPasswordCommon):
		return "the password is a common one and soon guessed"
	case errors.Is(err, scram.ErrPasswordAmbiguous):
		return "some clients may read the characters of the password differently, and fail to log in"
	}
	return withoutPackage(err)
}

// ask asks twice on the terminal.
func (c *Command) ask(ctx context.Context, account string) (string, error) {
	first, err := c.typed(ctx, "Password for "+account+": ")
	if err != nil {
		return "", err
	}
	second, err := c.typed(ctx, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// typed reads a line without echo. When ctx ends it gives the terminal its echo
// back and leaves the read behind, since the program is about to end.
func (c *Command) typed(ctx context.Context, question string) (string, error) {
	fd := int(c.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(c.Stderr, question)
	defer fmt.Fprintln(c.Stderr)
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, io.EOF) {
			return "", errors.New("no password was typed")
		}
		return string(r.line), r.err
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, state))
	}
}

// readLine reads up to the first line feed, or the end.
func readLine(f *os.File) (string, error) {
	var line []byte
	one := make([]byte, 1) // what follows is left for others
	for {
		n, err := f.Read(one)
		if n == 1 && one[0] != '\n' {
			if line = append(line, one[0]); len(line) > maxInput {
				return "", errors.New("the password is too long")
			}
			continue
		}
		if n == 1 || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
	}
	if l := len(line); l > 0 && line[l-1] == '\r' {
		line = line[:l-1]
	}
	return string(line), nil
}
