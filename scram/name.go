package scram

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// ErrName is wrapped by every error about a username. None quotes the name.
var ErrName = errors.New("scram: username not acceptable")

// Bounds of a localpart, in octets.
const (
	MaxLocalpart   = 1023 // RFC 7622 §3.3.1
	DefaultMaxName = 64   // for new accounts
)

// maxPasses bounds how often a profile is applied until nothing changes
// (RFC 8264 §7).
const maxPasses = 4

// PrepareLocalpart returns a username in the form the localpart of a JID has:
// UsernameCaseMapped (RFC 8265 §3.3) applied until it changes nothing,
// without the characters that RFC 7622 §3.3.1 excludes. The error wraps
// [ErrName].
func PrepareLocalpart(name string) (string, error) {
	if len(name) > MaxLocalpart {
		return "", fmt.Errorf("%w: too long", ErrName)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: not UTF-8", ErrName)
	}
	if isPreparedASCII(name) {
		return name, nil
	}
	prepared := name
	for range maxPasses {
		mapped, err := precis.UsernameCaseMapped.String(prepared)
		if err != nil {
			return "", fmt.Errorf("%w: forbidden character", ErrName)
		}
		if mapped == prepared {
			if err := checkLocalpart(prepared); err != nil {
				return "", err
			}
			return prepared, nil
		}
		prepared = mapped
	}
	return "", fmt.Errorf("%w: no stable form", ErrName)
}

// forbidden are the characters that RFC 7622 §3.3.1 excludes, and the space.
const forbidden = ` "&'/:<>@`

// isPreparedASCII reports whether name is a localpart that preparation leaves
// alone, as nearly all are; the profile itself costs several microseconds.
func isPreparedASCII(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c > '~' || 'A' <= c && c <= 'Z' || strings.IndexByte(forbidden, c) >= 0 {
			return false
		}
	}
	return name != ""
}

func checkLocalpart(prepared string) error {
	switch {
	case prepared == "":
		return fmt.Errorf("%w: empty", ErrName)
	case len(prepared) > MaxLocalpart:
		return fmt.Errorf("%w: too long", ErrName)
	case strings.ContainsAny(prepared, forbidden):
		return fmt.Errorf("%w: forbidden character", ErrName)
	}
	return nil
}

// PrepareName is [PrepareLocalpart] for a new account. It also refuses names
// of more than limit octets, 0 or less meaning 64 and 1023 being the most,
// and names which an older peer would take for another one because Nodeprep
// (RFC 3920 appendix A) maps further, such as those with a sharp s. The error
// wraps [ErrName].
func PrepareName(name string, limit int) (string, error) {
	if limit <= 0 {
		limit = DefaultMaxName
	}
	prepared, err := PrepareLocalpart(name)
	switch {
	case err != nil:
		return "", err
	case len(prepared) > limit:
		return "", fmt.Errorf("%w: longer than %d octets", ErrName, limit)
	case nodeMapping(prepared) != prepared:
		return "", fmt.Errorf("%w: older software would take it for another name", ErrName)
	}
	return prepared, nil
}

// nodeMapping applies the mappings of Nodeprep: what table B.1 deletes is
// deleted, case is folded and the result normalized. Table B.2 is folding
// closed under NFKC, hence the second round. Folding follows the current
// Unicode, which refuses a few more names and lets none through.
func nodeMapping(name string) string {
	s := strings.Map(func(r rune) rune {
		if mappedToNothing.contains(r) {
			return -1
		}
		return r
	}, name)
	fold := cases.Fold()
	for range 2 {
		s = norm.NFKC.String(fold.String(s))
	}
	return s
}
