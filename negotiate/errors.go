package negotiate

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
)

const (
	nsStreams      = "http://etherx.jabber.org/streams"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	nsErrors       = "urn:xmpp:errors"
)

// StreamError is the stream error (RFC 6120 §4.9.3) that err means for a peer:
// what is wrong with its XML, a limit it broke (with stanza-too-big of
// XEP-0205, core-im LIM-1), silence for too long, or a [stream.Error] inside
// err. ok is false if there is none, because the connection is broken or was
// closed.
func StreamError(err error) (se stream.Error, ok bool) {
	var xe *xmlscan.Error
	switch {
	case errors.As(err, &xe):
		se = stream.Error{Err: xe.Condition}
		if xe.Reason == xmlscan.LimitBytes {
			se = se.ApplicationError(tooBig())
		}
		return se, true
	case errors.As(err, &se):
		return se, true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return stream.ConnectionTimeout, true
	}
	return stream.Error{}, false
}

// AppendStreamError writes a stream error with its text and application-specific
// condition, for a place where the prefix stream is bound to the streams
// namespace. One that cannot be written becomes undefined-condition.
func AppendStreamError(dst []byte, se stream.Error) []byte {
	const begin, end = "<stream:error>", "</stream:error>"
	out, err := xmlwrite.AppendTokens(append(dst, begin...), inside(se.TokenReader()), "jabber:client")
	if err != nil {
		return append(append(dst, begin+"<undefined-condition xmlns='"+nsStreamErrors+"'/>"...), end...)
	}
	return append(out, end...)
}

// tooBig yields its element each time it is read to the end, since an error may
// be written more than once.
func tooBig() xml.TokenReader {
	start := xml.StartElement{Name: xml.Name{Space: nsErrors, Local: "stanza-too-big"}}
	at := 0
	return tokenFunc(func() (xml.Token, error) {
		at++
		switch at {
		case 1:
			return start, nil
		case 2:
			return start.End(), nil
		}
		at = 0
		return nil, io.EOF
	})
}

type tokenFunc func() (xml.Token, error)

func (f tokenFunc) Token() (xml.Token, error) { return f() }

// inside leaves the outermost element out.
func inside(r xml.TokenReader) xml.TokenReader {
	depth := 0
	return tokenFunc(func() (xml.Token, error) {
		for {
			t, err := r.Token()
			switch t.(type) {
			case xml.StartElement:
				if depth++; depth == 1 {
					if err != nil {
						return nil, err
					}
					continue
				}
			case xml.EndElement:
				if depth--; depth == 0 {
					if err == nil {
						continue
					}
					return nil, err
				}
			}
			return t, err
		}
	})
}
