package smacks

// acknowledged is how many stanzas an acknowledgement h is about, if acked were
// acknowledged before and out were sent; ok is false if it goes back or beyond
// (XEP-0198 §4; the counters wrap).
func acknowledged(h, acked, out uint32) (n uint32, ok bool) {
	n = h - acked
	return n, n <= out-acked
}

// parseH reads a counter: decimal digits, at most 2^32-1.
func parseH(s string) (h uint32, ok bool) {
	if s == "" || len(s) > 10 {
		return 0, false
	}
	n := uint64(0)
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return uint32(n), n <= 1<<32-1
}

// parseBool reads a boolean of XML Schema (XEP-0198 §5); what is none counts as
// false.
func parseBool(s string) bool { return s == "true" || s == "1" }

// parseMax reads how many seconds a client wants to be waited for, 0 for no wish.
func parseMax(s string) int {
	h, ok := parseH(s)
	if !ok || h > 1<<30 {
		return 0
	}
	return int(h)
}

// after reports whether counter a comes behind b.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// beginning is where counting begins among the stanzas that a peer has sent.
type beginning struct {
	base  uint32 // stanzas received before
	begun bool   // those are handled
}

// h is what the peer is told of what was handled of all that it sent. Stanzas from
// before it was enabled may still be in progress. The lock is held.
func (b *beginning) h(handled uint32) uint32 {
	if !b.begun {
		if int32(handled-b.base) < 0 {
			return 0
		}
		b.begun = true
	}
	return handled - b.base
}
