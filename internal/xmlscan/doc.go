// Package xmlscan checks and cuts the XML of an XMPP stream (RFC 6120 §4, §11).
//
// A [Scanner] is given the bytes that a peer sent and says where one whole
// first-level element ends, or which stream error the bytes deserve. It reads
// every byte once, keeps nothing but offsets, allocates nothing in steady
// state, and resumes in the middle of a tag, so a peer that sends one byte at a
// time costs no more than one that does not.
//
//	for {
//		kind, n, err := s.Next(buf)
//		switch {
//		case err != nil:         // send the stream error of err.(*xmlscan.Error), close
//		case kind == xmlscan.None:    // read more, keep buf
//		case kind == xmlscan.Element: // buf[:n] is verified; use s.Name, s.Attrs, s.Children
//		}
//		buf = buf[n:]
//	}
//
// Security notes. Only what RFC 6120 §11.1 allows gets through: no comment,
// processing instruction, DTD or entity beyond the predefined five. Text that
// was accepted decodes with encoding/xml to the same names, namespaces,
// attributes and text that this package reports, apart from the normalisation
// of white space in attribute values, which encoding/xml leaves undone; what is
// refused although encoding/xml accepts it is listed by [Reason]. Memory is
// bounded by [Limits]; a Scanner holds no copy of the peer's bytes except of
// namespace names written with references.
package xmlscan
