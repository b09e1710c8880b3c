package sasl2

import (
	"encoding/base64"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// Conditions of RFC 6120 §6.5.
const (
	condAborted       = "aborted"
	condDisabled      = "account-disabled"
	condExpired       = "credentials-expired"
	condEncoding      = "incorrect-encoding"
	condMechanism     = "invalid-mechanism"
	condMalformed     = "malformed-request"
	condNotAuthorized = "not-authorized"
	condTemporary     = "temporary-auth-failure"
)

// Bounds (auth-register §5).
const (
	maxText    = 16 << 10 // octets of base64
	maxMessage = 8 << 10  // octets decoded
	maxSteps   = 10       // of an exchange
	maxTag     = 64       // octets
	maxLabel   = 256      // characters of software and device
	maxTasks   = 8        // asked for
)

// request is what an authenticate element asks for.
type request struct {
	mechanism string
	initial   []byte // nil for none
	agent     agent
	inline    []mux.Child // members of other extensions
	bind      *bindRequest
	fast      *fastRequest
	wants     string   // mechanism of the token that is asked for, empty for none
	upgrades  []string // tasks
	version   *string  // of XEP-0509
}

// agent is the installation of a program.
type agent struct {
	id               string // empty if there is none that counts
	software, device string
}

// bindRequest is Bind 2's bind.
type bindRequest struct {
	tag    string
	inline []mux.Child // all that is in it
}

// fastRequest is how a token is used.
type fastRequest struct {
	count      int64 // -1 for none
	invalidate bool
}

// parseRequest reads an authenticate element. The condition is the answer to one
// that cannot be read, empty if it can.
func parseRequest(el *mux.Stanza) (r *request, condition string) {
	r = &request{mechanism: el.Attr("mechanism")}
	if r.mechanism == "" {
		condition = condMalformed
	}
	var seen [len(only)]bool
	for _, c := range el.Children() {
		wrong := condMalformed
		if i := slices.Index(only[:], c.Name); i < 0 || !seen[i] {
			wrong = r.child(c)
			if i >= 0 {
				seen[i] = true
			}
		}
		if condition == "" {
			condition = wrong
		}
	}
	return r, condition
}

// only names the children that may come once.
var only = [...]xml.Name{
	{Space: NS, Local: "initial-response"}, {Space: NS, Local: "user-agent"},
	{Space: NSBind, Local: "bind"}, {Space: NSFast, Local: "fast"},
	{Space: NSFast, Local: "request-token"}, {Space: NSPipeline, Local: "config-version"},
}

func (r *request) child(c mux.Child) (condition string) {
	switch c.Name {
	case xml.Name{Space: NS, Local: "initial-response"}:
		r.initial, condition = data(c)
	case xml.Name{Space: NS, Local: "user-agent"}:
		r.agent = parseAgent(c)
	case xml.Name{Space: NSBind, Local: "bind"}:
		r.bind = parseBind(c)
	case xml.Name{Space: NSFast, Local: "fast"}:
		r.fast, condition = parseFast(c)
	case xml.Name{Space: NSFast, Local: "request-token"}:
		r.wants = c.Attr("mechanism")
	case xml.Name{Space: NSUpgrade, Local: "upgrade"}:
		if len(r.upgrades) < maxTasks {
			r.upgrades = append(r.upgrades, strings.TrimSpace(c.Text()))
		}
	case xml.Name{Space: NSPipeline, Local: "config-version"}:
		v := c.Attr("value")
		r.version = &v
	default:
		r.inline = append(r.inline, c)
	}
	return condition
}

// data is the message in an element, never nil, or the condition that is the
// answer. An empty element is an empty message (XEP-0388 §2.2).
func data(c mux.Child) (b []byte, condition string) {
	if strings.Count(c.Raw(), "<") <= 2 { // its own tags: there is only text inside
		return decode(c.Text())
	}
	el, err := c.Element()
	if err != nil || len(el.Children()) > 0 {
		return nil, condMalformed
	}
	return decode(el.Text())
}

// decode is strict, but for white space at the ends, which XEP-0388 shows
// (auth-register SA-4, S2-15).
func decode(text string) (b []byte, condition string) {
	text = strings.Trim(text, " \t\r\n")
	switch {
	case len(text) > maxText:
		return nil, condMalformed
	case strings.IndexByte(text, '\r') >= 0, strings.IndexByte(text, '\n') >= 0: // which the decoder would skip
		return nil, condEncoding
	}
	b, err := strict.DecodeString(text)
	switch {
	case err != nil:
		return nil, condEncoding
	case len(b) > maxMessage:
		return nil, condMalformed
	case b == nil:
		b = []byte{}
	}
	return b, ""
}

var strict = base64.StdEncoding.Strict()

// parseAgent reads a user-agent (XEP-0388 §2.3). An id that is no UUID of version
// 4 counts as none (auth-register S2-12).
func parseAgent(c mux.Child) (a agent) {
	if id := strings.ToLower(c.Attr("id")); uuid4(id) {
		a.id = id
	}
	children, err := c.Children()
	if err != nil {
		return a
	}
	for _, x := range children {
		switch x.Name {
		case xml.Name{Space: NS, Local: "software"}:
			a.software = label(x.Text())
		case xml.Name{Space: NS, Local: "device"}:
			a.device = label(x.Text())
		}
	}
	return a
}

// uuid4 reports whether s is a UUID of version 4 in lower case (RFC 9562 §4, §5.4).
func uuid4(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
			continue
		}
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return s[14] == '4' && strings.IndexByte("89ab", s[19]) >= 0
}

// label is a text of bounded length on one line.
func label(s string) string {
	if s == "" {
		return ""
	}
	s = strings.Join(strings.Fields(s), " ")
	n := 0
	for i := range s {
		if n++; n > maxLabel {
			return s[:i]
		}
	}
	return s
}

var tagName = xml.Name{Space: NSBind, Local: "tag"}

func parseBind(c mux.Child) *bindRequest {
	b := &bindRequest{}
	children, err := c.Children()
	if err != nil {
		return b
	}
	b.inline = children // the tag is nobody's request
	for i := range children {
		if children[i].Name == tagName {
			b.tag = children[i].Text()
		}
	}
	return b
}

// parseFast reads XEP-0484's fast. Values that are none are not guessed at: a
// client that meant to invalidate its token must not believe that it has.
func parseFast(c mux.Child) (f *fastRequest, condition string) {
	f = &fastRequest{count: -1}
	if s := c.Attr("count"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31) // xs:int
		if err != nil {
			return f, condMalformed
		}
		f.count = int64(n)
	}
	switch c.Attr("invalidate") {
	case "", "0", "false":
	case "1", "true":
		f.invalidate = true
	default:
		return f, condMalformed
	}
	return f, ""
}
