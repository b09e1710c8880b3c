package mux

import (
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

// AddressData names the Unicode data that addresses are prepared with. With other data
// a text may be prepared differently, so whoever keeps addresses compares it with what
// it was when they were written (core-im AD-4).
func AddressData() string {
	return "PRECIS " + precis.UnicodeVersion + ", IDNA " + idna.UnicodeVersion + ", Unicode " + unicode.Version
}
