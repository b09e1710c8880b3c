package scram

import (
	"fmt"
	"strings"
)

// PlainMessage is the only message of PLAIN (RFC 4616 §2). The password is sent
// as it was typed: the server prepares it. Use it only if [Choose] says so. The
// error wraps [ErrName] or [ErrPassword].
func PlainMessage(authzid, username, password string) ([]byte, error) {
	switch {
	case username == "" || len(username) > maxPlainPart || strings.IndexByte(username+authzid, 0) >= 0 || len(authzid) > maxPlainPart:
		return nil, fmt.Errorf("%w: empty, too long or with NUL", ErrName)
	case password == "" || strings.IndexByte(password, 0) >= 0:
		return nil, ErrPasswordForbidden
	case len(password) > maxPlainPart:
		return nil, ErrPasswordLong
	}
	return []byte(authzid + "\x00" + username + "\x00" + password), nil
}
