package scram

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxKeyText is the length of the longest key in its text form, in octets.
const maxKeyText = len("SCRAM-SHA-512$5000000:::") + (MaxSalt+2)/3*4 + 2*88

var (
	_ encoding.TextMarshaler   = Key{}
	_ encoding.TextUnmarshaler = (*Key)(nil)
	_ fmt.Stringer             = Key{}
)

// ParseKey reads the text form of a key, that of RFC 5803 §3:
//
//	SCRAM-SHA-256$100000:<salt>$<StoredKey>:<ServerKey>
//
// with the last three in base64. Each key has one text form only; anything
// else is refused with an error that wraps [ErrKey].
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, fmt.Errorf("%w: text too long", ErrKey)
	}
	scheme, rest, _ := strings.Cut(text, "$")
	parameters, keys, _ := strings.Cut(rest, "$")
	iterations, salt, _ := strings.Cut(parameters, ":")
	stored, server, _ := strings.Cut(keys, ":")
	h, ok := ParseMechanism(scheme)
	if !ok {
		return Key{}, fmt.Errorf("%w: unknown scheme", ErrKey)
	}
	n, err := strconv.Atoi(iterations)
	if err != nil || strconv.Itoa(n) != iterations {
		return Key{}, fmt.Errorf("%w: iteration count is no number", ErrKey)
	}
	k := Key{Hash: h, Iterations: n}
	for _, part := range []struct {
		to   *[]byte
		text string
	}{{&k.Salt, salt}, {&k.StoredKey, stored}, {&k.ServerKey, server}} {
		if *part.to, err = decodeBase64(part.text); err != nil {
			return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	if err := k.Check(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// MarshalText returns the text form that [ParseKey] reads. The error wraps
// [ErrKey] if the key is out of bounds.
func (k Key) MarshalText() ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, maxKeyText-(MaxSalt-len(k.Salt))*4/3)
	b = append(b, k.Hash.Mechanism()...)
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(k.Iterations), 10)
	b = append(b, ':')
	b = base64.StdEncoding.AppendEncode(b, k.Salt)
	b = append(b, '$')
	b = base64.StdEncoding.AppendEncode(b, k.StoredKey)
	b = append(b, ':')
	return base64.StdEncoding.AppendEncode(b, k.ServerKey), nil
}

// UnmarshalText is [ParseKey] on a key in place; k keeps its value on error.
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := ParseKey(string(text))
	if err == nil {
		*k = parsed
	}
	return err
}

// String names hash and iteration count only, so that a key printed by
// accident gives nothing away. See [Key.MarshalText] for the text form.
func (k Key) String() string {
	return k.Hash.Mechanism() + "$" + strconv.Itoa(k.Iterations)
}

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// decodeBase64 is strict: padding, no other bits behind it, and, unlike
// package base64, no line breaks (RFC 5802 §7, RFC 4648 §4).
func decodeBase64(text string) ([]byte, error) {
	if strings.IndexByte(text, '\r') >= 0 || strings.IndexByte(text, '\n') >= 0 {
		return nil, errLineBreak
	}
	return strict.DecodeString(text)
}

var strict = base64.StdEncoding.Strict()

// errLineBreak is constant so that no part of a message gets into a log.
var errLineBreak = errors.New("line break in base64")
