package smacks

import (
	"encoding/xml"
	"errors"
	"io"
	"net"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// elements is a connection that is read element by element: mellium's decoder gets
// one at a time and so never reads beyond it.
type elements struct {
	net.Conn
	sc   xmlscan.Scanner
	in   []byte // read and not given out
	used int    // of in
	rest []byte // of the element that is being read
	// listed are the features that mellium has read last, not nil if it has
	listed []string
}

// maxElement bounds what the server may send in one piece.
const maxElement = 16 << 20

func newElements(c net.Conn) *elements {
	e := &elements{Conn: c}
	e.sc.Reset(xmlscan.Limits{Bytes: maxElement})
	return e
}

// Read implements [net.Conn].
func (e *elements) Read(p []byte) (int, error) {
	for len(e.rest) == 0 {
		kind, raw, err := e.next()
		if err != nil {
			return 0, err
		}
		if e.rest = raw; kind == xmlscan.Element {
			e.list(mux.FromScanner(&e.sc, raw))
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// next is the next item, valid until it is called again.
func (e *elements) next() (xmlscan.Kind, []byte, error) {
	for {
		if rest := e.in[e.used:]; len(rest) > 0 {
			kind, n, err := e.sc.Next(rest)
			if err != nil {
				return kind, nil, err
			}
			if kind != xmlscan.None {
				e.used += n
				return kind, rest[:n], nil
			}
		}
		if e.used > 0 {
			e.in = e.in[:copy(e.in, e.in[e.used:])]
			e.used = 0
		}
		if cap(e.in)-len(e.in) < 1024 {
			e.in = append(make([]byte, 0, 2*cap(e.in)+4096), e.in...)
		}
		n, err := e.Conn.Read(e.in[len(e.in):cap(e.in)])
		e.in = e.in[:len(e.in)+n]
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // that of the connection is not that of the stream
			}
			return xmlscan.None, nil, err
		}
	}
}

// element is the next element, a copy.
func (e *elements) element() (*mux.Stanza, error) {
	for {
		kind, raw, err := e.next()
		switch {
		case err != nil:
			return nil, err
		case kind == xmlscan.Close:
			return nil, io.ErrUnexpectedEOF
		case kind == xmlscan.Element:
			return mux.FromScanner(&e.sc, raw), nil
		}
	}
}

// list notes what a server offers.
func (e *elements) list(el *mux.Stanza) {
	if el.Name() != (xml.Name{Space: stream.NS, Local: "features"}) {
		return
	}
	e.listed = make([]string, 0, len(el.Children()))
	for _, f := range el.Children() {
		e.listed = append(e.listed, f.Name.Space)
	}
}
