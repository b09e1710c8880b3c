package negotiate

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// ReadHeader implements [Transport].
func (t *ConnTransport) ReadHeader(ctx context.Context) (Header, error) {
	for {
		kind, raw, err := t.next(ctx, t.flushes)
		if err != nil {
			return Header{}, err
		}
		if kind == xmlscan.Open {
			return t.header(raw), nil
		}
	}
}

func (t *ConnTransport) header(raw []byte) Header {
	h := Header{Content: t.sc.Context().ContentNS()}
	if h.Content == nsStreams {
		h.Content = "" // stanzas declare theirs, the other style of RFC 6120 §4.8.2
	}
	for _, a := range t.sc.Attrs() {
		v := string(xmlscan.AppendUnescaped(nil, a.Value.Of(raw)))
		local := string(a.Name.Local.Of(raw))
		switch {
		case a.Name.From != xmlscan.FromNone:
			if local == "lang" && string(t.sc.SpaceBytes(a.Name)) == nsXML {
				h.Lang = v
			}
		case local == "to":
			h.To = v
		case local == "from":
			h.From = v
		case local == "id":
			h.ID = v
		case local == "version":
			h.Version = v
		}
	}
	return h
}

const nsXML = "http://www.w3.org/XML/1998/namespace"

// ReadElement implements [Transport].
func (t *ConnTransport) ReadElement(ctx context.Context) (*mux.Stanza, error) {
	return t.element(ctx, t.flushes)
}

// flushes sends what was written, before the peer is waited for; an error shows
// when reading.
func (t *ConnTransport) flushes() { _ = t.Flush() }

func (t *ConnTransport) element(ctx context.Context, waits func()) (*mux.Stanza, error) {
	for {
		kind, raw, err := t.next(ctx, waits)
		switch {
		case err != nil:
			return nil, err
		case kind == xmlscan.Element:
			return mux.FromScanner(&t.sc, raw), nil
		case kind == xmlscan.Close:
			return nil, io.EOF
		case t.noSpace:
			return nil, stream.PolicyViolation
		}
	}
}

// next is the next item of the stream, valid until it is called again. Before it
// waits for the peer it calls waits.
func (t *ConnTransport) next(ctx context.Context, waits func()) (xmlscan.Kind, []byte, error) {
	for {
		if rest := t.in[t.used:]; len(rest) > 0 {
			kind, n, err := t.sc.Next(rest)
			if err != nil {
				return kind, nil, err
			}
			if kind != xmlscan.None {
				t.used += n
				t.peerClosed = kind == xmlscan.Close
				return kind, rest[:n], nil
			}
		}
		if waits != nil {
			waits()
		}
		if err := t.fill(ctx); err != nil {
			return xmlscan.None, nil, err
		}
	}
}

const readSize = 4 << 10

// fill reads more. What it keeps is bounded by the scanner's limit, which is hit
// before.
func (t *ConnTransport) fill(ctx context.Context) error {
	if t.used > 0 {
		t.in = t.in[:copy(t.in, t.in[t.used:])]
		t.used = 0
	}
	if cap(t.in)-len(t.in) < readSize {
		bigger := make([]byte, len(t.in), 2*cap(t.in)+readSize)
		copy(bigger, t.in)
		t.in = bigger
	}
	n, err := t.read(ctx, t.in[len(t.in):cap(t.in)])
	t.in = t.in[:len(t.in)+n]
	if n > 0 {
		return nil
	}
	return err
}

// read waits until there is something, or ctx ends.
func (t *ConnTransport) read(ctx context.Context, p []byte) (int, error) {
	if err := t.readDeadline(); err != nil {
		return 0, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = t.raw.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines just waits on
		close(interrupted)
	})
	n, err := t.conn().Read(p)
	if !stop() {
		<-interrupted
		err = ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = os.ErrDeadlineExceeded
		}
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // that of the connection is not that of the stream
	}
	return n, err
}

// readDeadline is none, but at the end of the stream.
func (t *ConnTransport) readDeadline() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	return t.raw.SetReadDeadline(t.until)
}

// NoSpace implements [Transport].
func (t *ConnTransport) NoSpace(on bool) { t.noSpace = on }

// Buffered implements [Transport]. White space between elements does not count:
// clients of go-xmpp send a line feed behind starttls.
func (t *ConnTransport) Buffered() bool {
	for t.unread() && strings.IndexByte(" \t\r\n", t.in[t.used]) >= 0 {
		t.used++
	}
	return t.unread()
}

// unread reports whether anything was read and not given out.
func (t *ConnTransport) unread() bool { return t.used < len(t.in) }
