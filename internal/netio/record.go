package netio

// recordHeader is the length of a TLS record's header: type, version and the
// length of what follows (RFC 8446 §5.1).
const recordHeader = 5

// records finds the ends of TLS records in a stream of bytes. It checks
// nothing: a stream that is not TLS is cut at meaningless places, and
// crypto/tls rejects it by its first header.
type records struct {
	header [recordHeader]byte
	have   int // bytes of an incomplete header
	left   int // bytes that the record still needs after its header
}

// take returns how many of the next bytes b belong to the current record, and
// moves past them. It is 0 only if b is empty.
func (r *records) take(b []byte) int {
	n := 0
	if r.left == 0 {
		n = copy(r.header[r.have:], b)
		r.have += n
		if r.have < recordHeader {
			return n
		}
		r.have = 0
		r.left = int(r.header[3])<<8 | int(r.header[4])
	}
	body := min(r.left, len(b)-n)
	r.left -= body
	return n + body
}

// inside says whether a record has begun and not ended.
func (r *records) inside() bool { return r.have > 0 || r.left > 0 }
