package mux

import (
	"errors"
	"strings"

	"mellium.im/xmpp/jid"
)

// Address is a prepared JID (RFC 7622). It is a small value that can be
// compared with == and used as a map key; taking it apart allocates nothing.
// The zero value is no address. Use [Address.JID] where a mellium value is
// wanted.
type Address struct {
	s      string
	local  uint16 // octets of the localpart
	bare   uint16 // octets of the bare form
	escape bool   // the resource has characters that must be escaped in XML
}

// errAddress is what a text that is no JID is refused with; callers answer with
// jid-malformed (RFC 6120 §8.3.3.8).
var errAddress = errors.New("mux: malformed address")

// maxPart is the longest a part may be, in octets (RFC 7622 §3.1).
const maxPart = 1023

// ParseAddress prepares s as RFC 7622 demands. The error is the same for every
// malformed text.
func ParseAddress(s string) (Address, error) {
	if a, ok := parseASCII(s); ok {
		return a, nil
	}
	j, err := jid.Parse(s)
	if err != nil {
		return Address{}, errAddress
	}
	// What preparation would change once more, such as a domain with two trailing
	// dots, must not become a second spelling of something (core-im AD-4).
	if again, err := jid.Parse(j.String()); err != nil || again.String() != j.String() {
		return Address{}, errAddress
	}
	return AddressOf(j), nil
}

// MustParseAddress is [ParseAddress] for constants; it panics on an error and
// must never see anything that came from a peer.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err.Error() + ": " + s)
	}
	return a
}

// AddressOf converts a JID, which is prepared already.
func AddressOf(j jid.JID) Address {
	local, bare := len(j.Localpart()), len(j.Domainpart())
	if local > 0 {
		bare += local + 1
	}
	return Address{s: j.String(), local: uint16(local), bare: uint16(bare), escape: strings.ContainsAny(j.Resourcepart(), escaped)}
}

// escaped are the characters of an address that are escaped in XML; only
// resources can have them (RFC 7622 §3.3.1).
const escaped = `"&'<>`

// parseASCII accepts the texts that preparation leaves as they are: the great
// majority. Anything else (upper case, IDNA, other scripts, errors) is not ok
// and goes the long way.
func parseASCII(s string) (Address, bool) {
	var a Address
	domain, resource := s, ""
	slash := strings.IndexByte(s, '/')
	if slash >= 0 {
		domain, resource = s[:slash], s[slash+1:]
		if resource == "" || len(resource) > maxPart {
			return a, false
		}
		for i := 0; i < len(resource); i++ {
			switch c := resource[i]; {
			case c < 0x20 || c > 0x7e:
				return a, false
			case c == '"' || c == '&' || c == '\'' || c == '<' || c == '>':
				a.escape = true
			}
		}
	}
	a.s, a.bare = s, uint16(len(domain))
	if len(domain) > 2*maxPart+1 {
		return a, false
	}
	if at := strings.IndexByte(domain, '@'); at >= 0 {
		if at == 0 || at > maxPart || !plainLocal(domain[:at]) {
			return a, false
		}
		a.local, domain = uint16(at), domain[at+1:]
	}
	return a, plainDomain(domain)
}

// plainLocal: printable ASCII without upper case and without the characters
// RFC 7622 §3.3.1 excludes.
func plainLocal(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= 0x20 || c > 0x7e, c >= 'A' && c <= 'Z':
			return false
		case c == '"' || c == '&' || c == '\'' || c == '/' || c == ':' || c == '<' || c == '>' || c == '@':
			return false
		}
	}
	return true
}

// plainDomain: lower-case LDH labels, none of them with hyphens in the third and
// fourth place (RFC 5891 §4.2.3.1).
func plainDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			label++
		case c == '-':
			if label == 0 || i+1 == len(s) || s[i+1] == '.' || label == 3 && s[i-1] == '-' {
				return false
			}
			label++
		case c == '.':
			if label == 0 || i+1 == len(s) {
				return false
			}
			label = 0
			continue
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return true
}

// String is the whole address in its prepared form.
func (a Address) String() string { return a.s }

// IsZero reports whether a is no address at all.
func (a Address) IsZero() bool { return a.s == "" }

// IsBare reports whether a has no resource; a domain alone is bare as well.
func (a Address) IsBare() bool { return int(a.bare) == len(a.s) }

// Bare is a without its resource.
func (a Address) Bare() Address { return Address{s: a.s[:a.bare], local: a.local, bare: a.bare} }

// Local is the localpart, empty if there is none.
func (a Address) Local() string { return a.s[:a.local] }

// Domain is the domainpart.
func (a Address) Domain() string {
	if a.local == 0 {
		return a.s[:a.bare]
	}
	return a.s[a.local+1 : a.bare]
}

// Resource is the resourcepart, empty if there is none.
func (a Address) Resource() string {
	if a.IsBare() {
		return ""
	}
	return a.s[a.bare+1:]
}

// WithResource is a's bare form with another resource, which is prepared; an
// empty or malformed resource is an error.
func (a Address) WithResource(resource string) (Address, error) {
	if resource == "" {
		return Address{}, errAddress
	}
	full, err := ParseAddress(a.s[:a.bare] + "/" + resource)
	if err != nil || full.Bare() != a.Bare() {
		return Address{}, errAddress
	}
	return full, nil
}

// JID converts to mellium's type.
func (a Address) JID() jid.JID {
	if a.s == "" {
		return jid.JID{}
	}
	j, err := jid.New(a.Local(), a.Domain(), a.Resource())
	if err != nil {
		return jid.JID{}
	}
	return j
}

// clone detaches a from the text it was cut out of, for keeping.
func (a Address) clone() Address {
	a.s = strings.Clone(a.s)
	return a
}
