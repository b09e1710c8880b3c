package mux

import (
	"context"
	"encoding/xml"
	"errors"
	"io"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
)

// Serve reads a client's stream, or another server's, from a plain mellium session, for
// embedders that have negotiated one: every element goes to st.Receive, until the stream
// ends, which it has the Conn of st do too. A client's must have a bound session, and the
// peer of another be authorized ([Stream.Authorize]). st must write to
// the same connection, such as through [SessionConn]. It takes the place of
// [xmpp.Session.Serve], which would answer requests that are routed to somebody
// else.
//
// The error is nil if the peer has closed its stream. ctx is passed on to
// handlers; to end the stream there is [Stream.Close].
func Serve(ctx context.Context, st *Stream, s *xmpp.Session) error {
	c, _ := st.conn.(*sessionConn)
	if c != nil {
		c.onLow(st.Drained)
		st.Drained() // it may have been before
	}
	theirs, err := read(ctx, st, s)
	st.Gone(err == nil)
	if theirs {
		st.conn.Close(nil)
	} else {
		st.conn.Close(err) // if the kernel has not done so
	}
	if c != nil {
		c.wait()
	}
	return err
}

// read feeds the stream. The error is theirs if it is a stream error that the
// peer has sent.
func read(ctx context.Context, st *Stream, s *xmpp.Session) (theirs bool, err error) {
	r := s.TokenReader()
	defer r.Close()
	for {
		t, err := r.Token()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case errors.As(err, new(stream.Error)):
			return true, err
		case err != nil:
			return false, readError(err)
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue // white space
		}
		el, err := FromTokens(start, r)
		if err != nil {
			return false, readError(err)
		}
		err = st.Receive(ctx, el)
		st.Flush()
		if err != nil {
			return false, err
		}
	}
}

// readError is what a stream is closed with that cannot be read on.
func readError(err error) error {
	var bad *xmlscan.Error
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &bad):
		return stream.Error{Err: bad.Condition}
	case errors.As(err, &syntax) && syntax.Msg != "unexpected EOF":
		return stream.NotWellFormed
	}
	return err
}
