package scram

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Errors about passwords. The others wrap ErrPassword; none quotes the
// password.
var (
	ErrPassword          = errors.New("scram: password not acceptable")
	ErrPasswordForbidden = fmt.Errorf("%w: it has forbidden characters or none", ErrPassword)
	ErrPasswordShort     = fmt.Errorf("%w: too short", ErrPassword)
	ErrPasswordLong      = fmt.Errorf("%w: too long", ErrPassword)
	ErrPasswordCommon    = fmt.Errorf("%w: too common", ErrPassword)
	ErrPasswordAmbiguous = fmt.Errorf("%w: programs read its characters differently", ErrPassword)
)

// maxPassword bounds a password before preparation, in octets.
const maxPassword = 1024

// PreparePassword returns the form of a password that keys are derived from:
// that of SASLprep (RFC 5802 §2.2, RFC 4013), which deployed clients use, or
// where SASLprep forbids it, as it does all characters younger than Unicode
// 3.2, that of OpaqueString (RFC 8265 §4.2). The error is
// [ErrPasswordForbidden] where both do, or [ErrPasswordLong] above 1024
// octets.
func PreparePassword(password string) (string, error) {
	if len(password) > maxPassword {
		return "", ErrPasswordLong
	}
	if isPlainASCII(password) {
		return password, nil
	}
	if s, err := saslprep(password); err == nil && s != "" {
		return s, nil
	}
	s, err := opaque(password)
	if err != nil {
		return "", ErrPasswordForbidden
	}
	return s, nil
}

// opaque applies OpaqueString. Its normalization accepts broken UTF-8.
func opaque(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errUTF8
	}
	return precis.OpaqueString.String(s)
}

// isPlainASCII reports whether every preparation leaves s alone.
func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != ""
}

// Defaults of [PasswordRules], in characters.
const (
	DefaultMinPassword = 8
	DefaultMaxPassword = 128
)

// PasswordRules decides which passwords may be chosen (XEP-0438 §8). The zero
// value is ready to use. There are no rules of composition on purpose.
type PasswordRules struct {
	// MinLength in characters after preparation; 0 or less means 8.
	MinLength int
	// MaxLength in characters after preparation; 0 or less means 128. More
	// than 1024 octets are never accepted.
	MaxLength int
	// AcceptAmbiguous accepts passwords that SASLprep and OpaqueString, the
	// two preparations clients use, make different or of which only the first accepts them;
	// with them, some clients could not log in.
	AcceptAmbiguous bool
	// Common reports whether a prepared password in lower case is too common;
	// nil means a short list of the worst.
	Common func(lower string) bool
}

// CheckPassword applies the default rules; see [PasswordRules.Check].
func CheckPassword(password string) (prepared string, err error) {
	return PasswordRules{}.Check(password)
}

// Check returns the password as prepared by [PreparePassword], or one of the
// errors that wrap [ErrPassword].
func (r PasswordRules) Check(password string) (prepared string, err error) {
	if prepared, err = PreparePassword(password); err != nil {
		return "", err
	}
	if r.MinLength <= 0 {
		r.MinLength = DefaultMinPassword
	}
	if r.MaxLength <= 0 {
		r.MaxLength = DefaultMaxPassword
	}
	if r.Common == nil {
		r.Common = isCommon
	}
	n := utf8.RuneCountInString(prepared)
	switch {
	case n < r.MinLength:
		return "", ErrPasswordShort
	case n > r.MaxLength || len(prepared) > maxPassword:
		return "", ErrPasswordLong
	case r.Common(strings.ToLower(prepared)):
		return "", ErrPasswordCommon
	case !r.AcceptAmbiguous && ambiguous(password):
		return "", ErrPasswordAmbiguous
	}
	return prepared, nil
}

// ambiguous reports whether clients with either preparation would derive
// different keys. Where SASLprep forbids the password only one form is left.
func ambiguous(password string) bool {
	s, err := saslprep(password)
	if err != nil || s == "" {
		return false
	}
	o, err := opaque(password)
	return err != nil || withoutSpaces(s) != withoutSpaces(o)
}

func withoutSpaces(s string) string { return strings.ReplaceAll(s, " ", "") }
