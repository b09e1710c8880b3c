package register

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
)

// ErrURI is returned for text that is no xmpp: URI.
var ErrURI = errors.New("register: no xmpp: URI")

// maxURI bounds, in octets, what is parsed.
const maxURI = 4096

// URI is an xmpp: URI (RFC 5122) with an action (XEP-0147). The query is taken apart
// at semicolons, which net/url does not do.
type URI struct {
	JID    jid.JID
	Action string            // empty for none
	Params map[string]string // decoded; of two of one name the first
}

// ParseURI parses a URI. An authority, which says as whom to act, and a fragment are
// left out. The JID is prepared.
func ParseURI(s string) (URI, error) {
	if len(s) > maxURI || len(s) < 5 || !strings.EqualFold(s[:5], "xmpp:") {
		return URI{}, ErrURI
	}
	s, _, _ = strings.Cut(s[5:], "#")
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		if _, s, ok = strings.Cut(rest, "/"); !ok {
			return URI{}, ErrURI
		}
	}
	path, query, _ := strings.Cut(s, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return URI{}, ErrURI
	}
	u := URI{}
	if u.JID, err = jid.Parse(path); err != nil || strings.HasSuffix(u.JID.Domainpart(), ".") {
		// RFC 7622 §3.2: the one dot at the end of a domain is taken away, and what has
		// another is no domain.
		return URI{}, ErrURI
	}
	action, rest, _ := strings.Cut(query, ";")
	if u.Action, err = url.PathUnescape(action); err != nil {
		return URI{}, ErrURI
	}
	for pair := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(pair, "=")
		key, err1 := url.PathUnescape(key)
		value, err2 := url.PathUnescape(value)
		if err1 != nil || err2 != nil {
			return URI{}, ErrURI
		}
		if _, twice := u.Params[key]; key == "" || twice {
			continue
		}
		if u.Params == nil {
			u.Params = make(map[string]string)
		}
		u.Params[key] = value
	}
	return u, nil
}

// String writes the URI, with the parameter preauth first and the others in order of
// their names.
func (u URI) String() string {
	var b strings.Builder
	b.WriteString("xmpp:")
	if local := u.JID.Localpart(); local != "" {
		b.WriteString(escapeURI(local) + "@")
	}
	b.WriteString(escapeURI(u.JID.Domainpart()))
	if resource := u.JID.Resourcepart(); resource != "" {
		b.WriteString("/" + escapeURI(resource))
	}
	if u.Action == "" && len(u.Params) == 0 {
		return b.String()
	}
	b.WriteString("?" + escapeURI(u.Action))
	write := func(key string) {
		b.WriteString(";" + escapeURI(key) + "=" + escapeURI(u.Params[key]))
	}
	const first = "preauth"
	if _, ok := u.Params[first]; ok {
		write(first)
	}
	for _, key := range slices.Sorted(maps.Keys(u.Params)) {
		if key != first {
			write(key)
		}
	}
	return b.String()
}

// escapeURI leaves what RFC 5122 §2.2 allows everywhere, and brackets and colons of
// IP addresses.
func escapeURI(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~!$*[]:", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// Invitation is what a URI invites to (XEP-0401, XEP-0445 §2, XEP-0379 §3).
type Invitation struct {
	// Domain is where an account may be made; empty for nowhere. The token is for
	// that server alone.
	Domain string
	// Username is the one that the account has to have; empty for a free choice. It
	// must not be edited.
	Username string
	// Contact is who invites to his contact list; zero for nobody.
	Contact jid.JID
	// Name is what the contact wants to be called; empty if he does not say.
	Name string
	// Token is shown to the server before registration, and to the contact.
	Token string
}

// Invitation returns what the URI invites to; ok is false if it is about something
// else.
func (u URI) Invitation() (i Invitation, ok bool) {
	i.Token = u.Params["preauth"]
	switch u.Action {
	case "register":
		i.Domain, i.Username = u.JID.Domainpart(), u.JID.Localpart()
		return i, true
	case "roster":
		if u.JID.Localpart() == "" {
			return Invitation{}, false
		}
		i.Contact, i.Name = u.JID.Bare(), u.Params["name"]
		if u.Params["ibr"] == "y" && i.Token != "" {
			i.Domain = u.JID.Domainpart()
		}
		return i, true
	}
	return Invitation{}, false
}
