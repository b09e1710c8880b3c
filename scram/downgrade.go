package scram

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
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

// TLSVersionText is a TLS version as in the attribute t (XEP-0515 §4.1): four
// hexadecimal digits.
func TLSVersionText(version uint16) string { return fmt.Sprintf("%04x", version) }
