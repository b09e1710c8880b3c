package scram

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync/atomic"
)

// ListHash is the hash over what a server has listed (XEP-0474 §6.1), in base64 as
// in the attribute h: its mechanisms of the SASL profile in use, and the channel
// binding types of the XEP-0440 element, nil if it sent none. Order does not
// matter. The hash must be one of this package's.
func ListHash(h Hash, mechanisms, bindings []string) string {
	const between, behind = "\x1e", "\x1f"
	text := strings.Join(slices.Sorted(slices.Values(mechanisms)), between)
	if len(bindings) > 0 {
		text += behind + strings.Join(slices.Sorted(slices.Values(bindings)), between)
	}
	sum := h.new()
	sum.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// listHashes remembers what was computed last for each hash: a server lists the
// same on most streams.
type listHashes [SHA512 + 1]atomic.Pointer[listHash]

type listHash struct {
	mechanisms, bindings []string // not modified
	text                 string
}

// of is ListHash.
func (l *listHashes) of(h Hash, mechanisms, bindings []string) string {
	if last := l[h].Load(); last != nil && slices.Equal(last.mechanisms, mechanisms) && slices.Equal(last.bindings, bindings) {
		return last.text
	}
	text := ListHash(h, mechanisms, bindings)
	l[h].Store(&listHash{slices.Clone(mechanisms), slices.Clone(bindings), text})
	return text
}

// TLSVersionText is a TLS version as in the attribute t (XEP-0515 §4.1): four
// hexadecimal digits.
func TLSVersionText(version uint16) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[version>>12], digits[version>>8&15], digits[version>>4&15], digits[version&15]})
}
