package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Client does what [Accounts] offers through the server that runs on a data
// directory. Every method returns an error that wraps [ErrNotRunning] if there
// is none, and otherwise the server's error, which wraps the same sentinels.
type Client struct {
	dir string
}

var _ Accounts = (*Client)(nil)

// NewClient returns a client for a data directory. It connects for each call.
func NewClient(dir string) *Client { return &Client{dir} }

// Add implements [Accounts].
func (c *Client) Add(ctx context.Context, account, password string) error {
	_, err := c.call(ctx, request{Op: opAdd, Account: account, Password: password})
	return err
}

// SetPassword implements [Accounts].
func (c *Client) SetPassword(ctx context.Context, account, password string) error {
	_, err := c.call(ctx, request{Op: opPasswd, Account: account, Password: password})
	return err
}

// Remove implements [Accounts].
func (c *Client) Remove(ctx context.Context, account string) error {
	_, err := c.call(ctx, request{Op: opRemove, Account: account})
	return err
}

// SetDisabled implements [Accounts].
func (c *Client) SetDisabled(ctx context.Context, account string, disabled bool) error {
	op := opEnable
	if disabled {
		op = opDisable
	}
	_, err := c.call(ctx, request{Op: op, Account: account})
	return err
}

// List implements [Accounts].
func (c *Client) List(ctx context.Context) (names []string, err error) {
	lines, err := c.call(ctx, request{Op: opList})
	for _, l := range lines {
		names = append(names, l.Account)
	}
	return names, err
}

// Clients implements [Accounts].
func (c *Client) Clients(ctx context.Context, account string) (list []ClientInfo, err error) {
	lines, err := c.call(ctx, request{Op: opClients, Account: account})
	for _, l := range lines {
		if l.Client == nil {
			return nil, errMalformed
		}
		list = append(list, *l.Client)
	}
	return list, err
}

// Revoke implements [Accounts].
func (c *Client) Revoke(ctx context.Context, account, client string) error {
	_, err := c.call(ctx, request{Op: opRevoke, Account: account, Client: client})
	return err
}

// Numbers implements [Accounts].
func (c *Client) Numbers(ctx context.Context) (list []Number, err error) {
	lines, err := c.call(ctx, request{Op: opNumbers})
	for _, l := range lines {
		if l.Number == nil {
			return nil, errMalformed
		}
		list = append(list, *l.Number)
	}
	return list, err
}

var errMalformed = errors.New("malformed answer")

func (c *Client) call(ctx context.Context, r request) ([]reply, error) {
	line, err := appendLine(r)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, c.dir)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// The server needs no longer than that for all its steps but a long list.
	if err := conn.SetDeadline(time.Now().Add(2*ioTimeout + workTimeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var lines []reply
	if _, err = conn.Write(line); err == nil {
		lines, err = readReplies(conn)
	}
	var remote *remoteError
	switch {
	case err == nil || errors.As(err, &remote):
		return lines, err
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return nil, fmt.Errorf("no answer from the server, which may have done it or not: %w", err)
}

func readReplies(conn net.Conn) ([]reply, error) {
	var list []reply
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, errMalformed
		}
		switch {
		case r.Error != "":
			return nil, &remoteError{text: r.Error, code: r.Code}
		case r.Done:
			return list, nil
		case r.Account == "" && r.Client == nil && r.Invite == nil && r.Application == nil && r.Number == nil:
			return nil, errMalformed
		}
		list = append(list, r)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("it ended the connection")
}
