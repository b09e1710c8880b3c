package negotiate

import (
	"context"
	"crypto/tls"

	"github.com/propolis-im/propolis/mux"
)

// Header is what a stream header says (RFC 6120 §4.7): the stream's start tag on
// TCP, the open element on WebSocket.
type Header struct {
	To, From string // as written
	ID       string
	Lang     string
	Version  string
	// Content is the content namespace the peer declared, empty if it is implied;
	// of our own header that of clients if it is empty.
	Content string
}

// Transport is what a stream is negotiated over: elements of one connection. It
// is used by one goroutine, which is the connection's reader afterwards too. The
// [mux.Conn] of the stream must be the same connection: what is written to one
// comes behind what was written to the other, flushed or not, and the end of the
// stream is written by the Conn's Close, whatever ends it.
//
// What was written is sent with Flush, before ReadHeader or ReadElement waits for
// the peer, and with the Conn's Write: so the answers to what a peer sends in one
// piece go out in one piece.
type Transport interface {
	// ReadHeader waits for the peer's stream header. XML that may not be is an
	// error with the stream error of RFC 6120 §4.9.3, see [StreamError].
	ReadHeader(ctx context.Context) (Header, error)
	// WriteHeader writes our own.
	WriteHeader(h Header) error
	// ReadElement waits for the next first-level element. io.EOF is the proper
	// end of the peer's stream, io.ErrUnexpectedEOF a broken connection,
	// os.ErrDeadlineExceeded the end of ctx's deadline.
	ReadElement(ctx context.Context) (*mux.Stanza, error)
	// NoSpace, while on, makes ReadElement fail with policy-violation if the peer
	// sends white space before the element (XEP-0388 §2.4). Framings without any
	// between elements ignore it.
	NoSpace(on bool)
	// WriteElement writes one whole element. Elements that declare no namespace
	// are in the content namespace, the prefix stream means the namespace of
	// streams; the transport adds what its framing needs. It must not retain p.
	WriteElement(p []byte) error
	// Flush sends what was written.
	Flush() error
	// Buffered reports whether bytes of the peer are waiting that were not yet
	// given out as elements (core-im XS-16).
	Buffered() bool

	// CanSecure says that TLS is possible and not on yet.
	CanSecure() bool
	// Secure makes the TLS handshake, as the server.
	Secure(ctx context.Context) error
	// TLS is the state of the TLS connection, nil without one.
	TLS() *tls.ConnectionState
	// Trusted says that the transport needs no TLS of its own: it is inside one
	// already, or never leaves the machine and may be used in clear.
	Trusted() bool
	// Certificate is the certificate that the server showed, for
	// tls-server-end-point (RFC 5929 §4); nil without TLS.
	Certificate() *tls.Certificate

	// Restart throws the parser's state away: a new header follows (core-im XS-17).
	// Bytes of the peer that are waiting stay. It may be called twice in a row.
	Restart()
	// Authenticated raises the limits of elements to those of a peer that is known.
	Authenticated()
	// Resumable says that a session may outlive the transport.
	Resumable() bool
}
