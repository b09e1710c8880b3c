package scram

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Bounds of messages and their parts, in octets.
const (
	maxMessage     = 8 << 10
	minClientNonce = 8 // RFC 5802 §5.1 asks for a nonce without a length; fewer octets repeat
	maxClientNonce = 512
)

// Reasons for malformed-request. They name the rule and quote nothing of the
// message, which may hold secrets.
var (
	errLength    = errors.New("message empty or too long")
	errUTF8      = errors.New("message is not UTF-8")
	errGS2       = errors.New("wrong gs2-header")
	errExtension = errors.New("mandatory extension")
	errAttribute = errors.New("attribute missing, misplaced or empty")
	errSaslname  = errors.New("wrong escape in a name")
	errNonce     = errors.New("nonce too short, too long or not printable")
	errBase64    = errors.New("wrong base64")
)

// ClientFirst is the client-first-message of SCRAM, taken apart (RFC 5802
// §7).
type ClientFirst struct {
	// Flag says what the client thinks of channel binding: 'n' it has none,
	// 'y' it believes the server has none, 'p' it uses Binding.
	Flag byte
	// Binding is the name of the channel binding type, with Flag 'p' only.
	Binding string
	// Authzid is the identity the client wants to act as, with escapes
	// resolved but not prepared; empty if there is none.
	Authzid string
	// Username has its escapes resolved but is not prepared.
	Username string
	// Nonce is the client's part of the nonce.
	Nonce string

	header string // gs2-header with its last comma, as received
	bare   string // client-first-message-bare, as received
}

// ParseClientFirst reads a client-first-message. Attributes it does not know
// are left out, but stay part of what is signed. The error is a [*Failure]
// with malformed-request.
func ParseClientFirst(in []byte) (ClientFirst, error) {
	text, err := messageText(in)
	if err != nil {
		return ClientFirst{}, fail(MalformedRequest, err)
	}
	var m ClientFirst
	if err := m.parse(text); err != nil {
		return ClientFirst{}, fail(MalformedRequest, err)
	}
	return m, nil
}

func (m *ClientFirst) parse(text string) error {
	flag, rest, ok1 := strings.Cut(text, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 {
		return errGS2
	}
	m.header, m.bare = text[:len(text)-len(bare)], bare
	if err := m.parseHeader(flag, authzid); err != nil {
		return err
	}
	return m.parseBare(bare)
}

// parseHeader reads both parts of the gs2-header.
func (m *ClientFirst) parseHeader(flag, authzid string) (err error) {
	switch {
	case flag == "n" || flag == "y":
	case strings.HasPrefix(flag, "p=") && isBindingName(flag[2:]):
		m.Binding = flag[2:]
	default:
		return errGS2
	}
	m.Flag = flag[0]
	if authzid == "" {
		return nil
	}
	name, ok := strings.CutPrefix(authzid, "a=")
	if !ok {
		return errGS2
	}
	m.Authzid, err = unescapeName(name)
	return err
}

// parseBare reads what is signed: name, nonce and unknown attributes.
func (m *ClientFirst) parseBare(bare string) (err error) {
	var room [maxUsual]string
	attributes, err := splitAttributes(room[:0], bare)
	if err != nil {
		return err
	}
	if len(attributes) < 2 || attributes[0][0] != 'n' || attributes[1][0] != 'r' {
		return errAttribute
	}
	if m.Username, err = unescapeName(attributes[0][2:]); err != nil {
		return err
	}
	m.Nonce = attributes[1][2:]
	if len(m.Nonce) < minClientNonce || len(m.Nonce) > maxClientNonce || !isPrintable(m.Nonce) {
		return errNonce
	}
	return checkExtensions(attributes[2:])
}

// clientFinal is the client-final-message of SCRAM, taken apart.
type clientFinal struct {
	binding []byte // gs2-header and channel binding data
	nonce   string
	proof   []byte

	withoutProof string // as received
}

func parseClientFinal(in []byte) (m clientFinal, err error) {
	text, err := messageText(in)
	if err != nil {
		return m, err
	}
	var room [maxUsual]string
	attributes, err := splitAttributes(room[:0], text)
	if err != nil {
		return m, err
	}
	last := len(attributes) - 1
	if last < 2 || attributes[0][0] != 'c' || attributes[1][0] != 'r' || attributes[last][0] != 'p' {
		return m, errAttribute
	}
	if err := checkExtensions(attributes[2:last]); err != nil {
		return m, err
	}
	if m.binding, err = decodeBase64(attributes[0][2:]); err != nil {
		return m, errBase64
	}
	if m.proof, err = decodeBase64(attributes[last][2:]); err != nil {
		return m, errBase64
	}
	m.nonce = attributes[1][2:]
	m.withoutProof = text[:len(text)-len(attributes[last])-1]
	return m, nil
}

// messageText checks what holds for every message.
func messageText(in []byte) (string, error) {
	if len(in) == 0 || len(in) > maxMessage {
		return "", errLength
	}
	if !utf8.Valid(in) {
		return "", errUTF8
	}
	return string(in), nil
}

// maxUsual is for how many attributes the messages of clients have room on the stack.
const maxUsual = 4

// splitAttributes splits at the commas and checks that every part is one
// letter, '=' and a value of at least one octet without NUL (RFC 5802 §7,
// attr-val). A mandatory extension anywhere fails (RFC 5802 §5.1, m=). The parts are
// appended to attributes.
func splitAttributes(attributes []string, text string) ([]string, error) {
	for a := range strings.SplitSeq(text, ",") {
		if len(a) < 2 || !isLetter(a[0]) || a[1] != '=' {
			return nil, errAttribute
		}
		if a[0] == 'm' {
			return nil, errExtension
		}
		if len(a) == 2 || strings.IndexByte(a, 0) >= 0 {
			return nil, errAttribute
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

// checkExtensions refuses attributes with a meaning of their own where only
// unknown ones may stand: the order is fixed (RFC 5802 §5.1).
func checkExtensions(attributes []string) error {
	for _, a := range attributes {
		if strings.IndexByte("aceinprsv", a[0]) >= 0 {
			return errAttribute
		}
	}
	return nil
}

// unescapeName resolves the escapes of a saslname. '=' stands before exactly
// 2C or 3D (RFC 5802 §5.1).
func unescapeName(name string) (string, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return "", errSaslname
	}
	if strings.IndexByte(name, '=') < 0 {
		return name, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(name, "=")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), nil
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", errSaslname
		}
		name = after[2:]
	}
}

// isPrintable reports whether s consists of printable ASCII without space
// and comma (RFC 5802 §7, printable).
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return true
}

// isBindingName checks a cb-name (RFC 5802 §7).
func isBindingName(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (s[i] < '0' || s[i] > '9') && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z'
}
