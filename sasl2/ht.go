package sasl2

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

// HT is a mechanism that authenticates with a token in one message each way
// (draft-schmaus-kitten-sasl-ht-09). It keeps nothing and is for both sides. A token
// is used as the text it is.
type HT struct {
	name    string
	binding string
	hash    func() hash.Hash
	size    int
}

var htBindings = map[string]string{
	"ENDP": "tls-server-end-point", "UNIQ": "tls-unique", "EXPR": "tls-exporter", "NONE": "",
}

// ParseHT returns the mechanism of a name such as HT-SHA-256-EXPR, compared
// exactly. The hash is SHA-256 or SHA-512.
func ParseHT(name string) (m HT, ok bool) {
	rest, ok := strings.CutPrefix(name, "HT-")
	i := strings.LastIndexByte(rest, '-')
	if !ok || i < 0 {
		return HT{}, false
	}
	m.name = name
	switch rest[:i] {
	case "SHA-256":
		m.hash, m.size = sha256.New, sha256.Size
	case "SHA-512":
		m.hash, m.size = sha512.New, sha512.Size
	default:
		return HT{}, false
	}
	if m.binding, ok = htBindings[rest[i+1:]]; !ok {
		return HT{}, false
	}
	return m, true
}

// Name is the name of the mechanism.
func (m HT) Name() string { return m.name }

// Binding is the channel binding type of XEP-0440, empty for none.
func (m HT) Binding() string { return m.binding }

// Initial is the client's message. data is that of the channel binding, nil for
// none.
func (m HT) Initial(authcid, token string, data []byte) []byte {
	return append(append([]byte(authcid), 0), m.mac(token, "Initiator", data)...)
}

// ParseInitial takes the client's message apart. A name is there; whether it is
// one of ours, and the proof right, is another question.
func (m HT) ParseInitial(in []byte) (authcid string, proof []byte, ok bool) {
	name, proof, ok := bytes.Cut(in, []byte{0})
	if !ok || len(name) == 0 || len(proof) != m.size {
		return "", nil, false
	}
	return string(name), proof, true
}

// VerifyInitial reports, in constant time, whether the proof of a client's message
// was made with the token.
func (m HT) VerifyInitial(token string, data, proof []byte) bool {
	return hmac.Equal(m.mac(token, "Initiator", data), proof)
}

// Response is the server's message, which goes with the success.
func (m HT) Response(token string, data []byte) []byte { return m.mac(token, "Responder", data) }

// VerifyResponse reports, in constant time, whether the server has the token too.
// A client that cannot verify it must not take the success for one.
func (m HT) VerifyResponse(token string, data, in []byte) bool {
	return hmac.Equal(m.Response(token, data), in)
}

func (m HT) mac(token, role string, data []byte) []byte {
	h := hmac.New(m.hash, []byte(token))
	h.Write([]byte(role))
	h.Write(data)
	return h.Sum(nil)
}
