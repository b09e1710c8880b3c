package scram

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of what a server may send.
const (
	minServerNonce = 8   // octets beyond the client's part
	maxNonce       = 512 // octets, both parts
	maxDigits      = 9   // of an iteration count
)

var (
	errServerNonce = errors.New("nonce does not continue the own one, or not far enough")
	errIterations  = errors.New("iteration count is no number")
	errTwice       = errors.New("attribute twice")
	errSignature   = errors.New("signature missing or of wrong length")
)

// serverFirst is the server-first-message, taken apart (RFC 5802 §7).
type serverFirst struct {
	nonce      string
	salt       []byte
	iterations int
	listHash   string // attribute h, XEP-0474; empty if there is none
	tlsVersion string // attribute t, XEP-0515; empty if there is none

	text string // as received
}

func parseServerFirst(in []byte) (m serverFirst, err error) {
	if m.text, err = messageText(in); err != nil {
		return m, err
	}
	attributes, err := splitAttributes(nil, m.text)
	if err != nil {
		return m, err
	}
	if len(attributes) < 3 || attributes[0][0] != 'r' || attributes[1][0] != 's' || attributes[2][0] != 'i' {
		return m, errAttribute
	}
	if m.nonce = attributes[0][2:]; len(m.nonce) > maxNonce || !isPrintable(m.nonce) {
		return m, errNonce
	}
	if m.salt, err = decodeBase64(attributes[1][2:]); err != nil {
		return m, errBase64
	}
	if m.iterations, err = parseIterations(attributes[2][2:]); err != nil {
		return m, err
	}
	return m, m.parseExtensions(attributes[3:])
}

// parseExtensions reads the attributes behind the mandatory ones. Unknown ones
// are left out.
func (m *serverFirst) parseExtensions(attributes []string) error {
	if err := checkExtensions(attributes); err != nil {
		return err
	}
	for _, a := range attributes {
		field := &m.listHash
		switch a[0] {
		case 'h':
		case 't':
			field = &m.tlsVersion
		default:
			continue
		}
		if *field != "" {
			return errTwice
		}
		*field = a[2:]
	}
	return nil
}

// parseIterations reads a posit-number (RFC 5802 §7): digits without a sign or a
// zero in front.
func parseIterations(text string) (int, error) {
	if len(text) > maxDigits || text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return 0, errIterations
	}
	return strconv.Atoi(text)
}

// parseServerFinal reads the server-final-message and returns the signature in
// it. A server-error is an error like any other: nobody has signed it.
func parseServerFinal(in []byte) ([]byte, error) {
	text, err := messageText(in)
	if err != nil {
		return nil, err
	}
	attributes, err := splitAttributes(nil, text)
	if err != nil {
		return nil, err
	}
	if err := checkExtensions(attributes[1:]); err != nil {
		return nil, err
	}
	switch attributes[0][0] {
	case 'v':
		signature, err := decodeBase64(attributes[0][2:])
		if err != nil {
			return nil, errBase64
		}
		return signature, nil
	case 'e':
		return nil, serverError(attributes[0][2:])
	}
	return nil, errSignature
}

// serverErrors are the values of RFC 5802 §7, server-error-value. Others are not
// repeated, since they may hold anything.
var serverErrors = []string{
	"invalid-encoding", "extensions-not-supported", "invalid-proof", "channel-bindings-dont-match",
	"server-does-support-channel-binding", "channel-binding-not-supported",
	"unsupported-channel-binding-type", "unknown-user", "invalid-username-encoding", "no-resources",
}

func serverError(value string) error {
	for _, known := range serverErrors {
		if value == known {
			return fmt.Errorf("server reports %s", known)
		}
	}
	return errors.New("server reports another error")
}

// escapeName writes a saslname (RFC 5802 §7).
func escapeName(name string) string { return nameEscaper.Replace(name) }

var nameEscaper = strings.NewReplacer("=", "=3D", ",", "=2C")

// finalWithoutProof is the client-final-message as far as it is signed.
func finalWithoutProof(header string, binding []byte, nonce string) string {
	b := append([]byte(header), binding...)
	return "c=" + base64.StdEncoding.EncodeToString(b) + ",r=" + nonce
}
