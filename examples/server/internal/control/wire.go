package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds a line of either side, in bytes. The longest request has a
// JID of 2047 octets and a password of 1024, each octet escaped with six.
const maxLine = 32 << 10

// The operations of a request.
const (
	opAdd     = "add"
	opPasswd  = "passwd"
	opRemove  = "remove"
	opDisable = "disable"
	opEnable  = "enable"
	opList    = "list"
	opClients = "clients"
	opRevoke  = "revoke"
	opNumbers = "numbers"

	opInvite       = "invite"
	opInvites      = "invites"
	opRevokeInvite = "revoke-invite"
	opWaiting      = "waiting"
	opApprove      = "approve"
	opDeny         = "deny"
)

// request is the line a client sends.
type request struct {
	Op       string     `json:"op"`
	Account  string     `json:"account,omitempty"`
	Password string     `json:"password,omitempty"`
	Client   string     `json:"client,omitempty"` // or invitation
	New      *NewInvite `json:"new,omitempty"`
}

// reply is a line of the answer. A list is one line for each account or client; the last
// line of every answer has Done or Error.
type reply struct {
	Account     string       `json:"account,omitempty"`
	Client      *ClientInfo  `json:"client,omitempty"`
	Invite      *InviteInfo  `json:"invite,omitempty"`
	Application *Application `json:"application,omitempty"`
	Number      *Number      `json:"number,omitempty"`
	Done        bool         `json:"done,omitempty"`
	Error       string       `json:"error,omitempty"`
	Code        string       `json:"code,omitempty"`
}

// parseRequest reads the line of a request, without its line feed. No error
// quotes what the line contains.
func parseRequest(line []byte) (request, error) {
	if !utf8.Valid(line) { // which package json would repair
		return request{}, errors.New("malformed request: not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r request
	if err := d.Decode(&r); err != nil {
		return request{}, errors.New("malformed request")
	}
	if _, err := d.Token(); err != io.EOF {
		return request{}, errors.New("malformed request: more than one value")
	}
	var account, password, client, invite bool // what there must be
	switch r.Op {
	case opAdd, opPasswd:
		account, password = true, true
	case opRemove, opDisable, opEnable, opClients, opApprove, opDeny:
		account = true
	case opRevoke:
		account, client = true, true
	case opRevokeInvite:
		client = true
	case opInvite:
		invite = true
	case opList, opNumbers, opInvites, opWaiting:
	default:
		return request{}, errors.New("malformed request: unknown operation")
	}
	if account != (r.Account != "") || password != (r.Password != "") || client != (r.Client != "") || invite != (r.New != nil) {
		return request{}, fmt.Errorf("malformed request: wrong members for %s", r.Op)
	}
	return r, nil
}

// appendLine returns v as a line.
func appendLine(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxLine {
		return nil, errors.New("message too long")
	}
	return append(line, '\n'), nil
}
