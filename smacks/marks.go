package smacks

// marks are which of a peer's last stanzas have something: the number of the last one
// that has in the upper half, and a bit for each of the 32 up to it below. The zero value
// is none.
type marks uint64

// with is m when stanza n, which comes behind all others, has it too.
func (m marks) with(n uint32) marks {
	bits := uint32(m) << (n - m.last()) // all are gone if it is far ahead
	return marks(n)<<32 | marks(bits|1)
}

// has reports whether stanza n is known to have it.
func (m marks) has(n uint32) bool {
	return uint32(m)>>(m.last()-n)&1 != 0
}

func (m marks) last() uint32 { return uint32(m >> 32) }
