package scram

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// runeRanges is a set of code points: sorted inclusive ranges.
type runeRanges [][2]rune

func (t runeRanges) contains(r rune) bool {
	_, found := slices.BinarySearchFunc(t, r, func(e [2]rune, r rune) int {
		switch {
		case e[1] < r:
			return -1
		case e[0] > r:
			return 1
		}
		return 0
	})
	return found
}

// Reasons why SASLprep forbids a string.
var (
	errUnassigned = errors.New("code point unassigned in Unicode 3.2")
	errProhibited = errors.New("prohibited character")
	errBidi       = errors.New("mixed writing directions")
)

// saslprep applies RFC 4013 to a stored string, in which code points that
// Unicode 3.2 did not assign are forbidden (RFC 5802 §2.2, RFC 3454 §7).
// Normalization follows the current Unicode, which agrees with 3.2 on all
// code points it had but five corrected ideographs.
func saslprep(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errUTF8
	}
	if strings.ContainsFunc(s, unassigned.contains) {
		return "", errUnassigned
	}
	// RFC 4013 §2.1. ZERO WIDTH SPACE is in both tables; a space it is.
	s = strings.Map(func(r rune) rune {
		switch {
		case nonASCIISpace.contains(r):
			return ' '
		case mappedToNothing.contains(r):
			return -1
		}
		return r
	}, s)
	s = norm.NFKC.String(s) // RFC 4013 §2.2
	if strings.ContainsFunc(s, prohibited.contains) {
		return "", errProhibited // RFC 4013 §2.3
	}
	if !bidiAllowed(s) {
		return "", errBidi
	}
	return s, nil
}

// bidiAllowed checks RFC 3454 §6: a string with a character of a
// right-to-left script has none of a left-to-right one, and both begins and
// ends with the former.
func bidiAllowed(s string) bool {
	if !strings.ContainsFunc(s, randALCat.contains) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return !strings.ContainsFunc(s, lCat.contains) && randALCat.contains(first) && randALCat.contains(last)
}
