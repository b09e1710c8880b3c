package scram

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// maxSASLText bounds the text of an element of SASL, in octets.
const maxSASLText = 16 << 10

// maxSASLTokens bounds how much a server may put into one.
const maxSASLTokens = 256

var (
	errElement = errors.New("unexpected element")
	errSize    = errors.New("element too large")
)

// saslStream exchanges the elements of RFC 6120 §6.4 on a session, which it has for
// itself until it is closed.
type saslStream struct {
	w xmlstream.TokenWriteFlushCloser
	r xmlstream.TokenReadCloser
	d *xml.Decoder
}

func newSASLStream(s *xmpp.Session) *saslStream {
	r := s.TokenReader()
	return &saslStream{w: s.TokenWriter(), r: r, d: xml.NewTokenDecoder(r)}
}

func (s *saslStream) close() {
	// What could not be written was reported when it was.
	_ = s.w.Close()
	_ = s.r.Close()
}

// login runs one mechanism to its end.
func (o *ClientOptions) login(ctx context.Context, s *saslStream, choice Choice) error {
	c, out, err := o.first(ctx, choice)
	if err != nil {
		return err
	}
	if err := s.auth(choice.Mechanism, out); err != nil {
		return err
	}
	l, err := o.converse(ctx, s, choice, c)
	if err != nil {
		return err
	}
	return o.save(ctx, l)
}

// converse answers the server until it says success or failure. What the client
// itself finds wrong ends with an abort.
func (o *ClientOptions) converse(ctx context.Context, s *saslStream, choice Choice, c *Client) (Login, error) {
	for {
		e, err := s.read()
		if err != nil {
			// The session turns a cancelled context into a deadline in the past.
			return Login{}, cmp.Or(ctx.Err(), err)
		}
		switch e.name {
		case "failure":
			return Login{}, &RefusedError{Condition: e.condition, Text: e.explanation, Mechanism: choice.Mechanism, Guessed: choice.Guessed}
		case "challenge":
			err = s.challenge(ctx, c, e)
		case "success":
			var l Login
			if l, err = o.success(choice, c, e); err == nil {
				return l, nil
			}
		default:
			err = fmt.Errorf("%w: %w", ErrServerMessage, errElement)
		}
		if err != nil {
			s.abort()
			return Login{}, err
		}
	}
}

// challenge answers one challenge.
func (s *saslStream) challenge(ctx context.Context, c *Client, e saslElement) error {
	if c == nil {
		return fmt.Errorf("%w: %w", ErrServerMessage, errElement) // one message is all there is
	}
	in, err := e.data()
	if err != nil {
		return err
	}
	var out []byte
	switch c.state {
	case clientAwaitFirst:
		out, err = c.Next(ctx, in)
	default:
		// RFC 6120 §6.3.10 lets a server send its last message so; the answer is
		// empty.
		err = c.Verify(in)
	}
	if err != nil {
		return err
	}
	return s.send("response", nil, base64.StdEncoding.EncodeToString(out))
}

// success believes a success only if the server was verified before, or proves
// itself with it (RFC 5802 §5).
func (o *ClientOptions) success(choice Choice, c *Client, e saslElement) (Login, error) {
	if c == nil {
		return choice.login(o.Pins, 0, false), nil
	}
	if c.state != clientDone {
		in, err := e.data()
		if err != nil {
			return Login{}, fmt.Errorf("%w: %w", ErrServerNotAuthenticated, err)
		}
		if err := c.Verify(in); err != nil {
			return Login{}, err
		}
	}
	return c.Login(), nil
}

// auth begins an exchange. An empty first message is written as = (RFC 6120 §6.4.2).
func (s *saslStream) auth(mechanism string, out []byte) error {
	text := "="
	if len(out) > 0 {
		text = base64.StdEncoding.EncodeToString(out)
	}
	return s.send("auth", []xml.Attr{{Name: xml.Name{Local: "mechanism"}, Value: mechanism}}, text)
}

// abort tells the server that the client has given up. The client's own error is
// the one that counts.
func (s *saslStream) abort() { _ = s.send("abort", nil, "") }

func (s *saslStream) send(name string, attrs []xml.Attr, text string) error {
	var inner xml.TokenReader
	if text != "" {
		inner = xmlstream.Token(xml.CharData(text))
	}
	start := xml.StartElement{Name: xml.Name{Space: nsSASL, Local: name}, Attr: attrs}
	if _, err := xmlstream.Copy(s.w, xmlstream.Wrap(inner, start)); err != nil {
		return err
	}
	return s.w.Flush()
}

// saslElement is an element of the server.
type saslElement struct {
	name        string // without namespace; empty for foreign elements
	text        string
	condition   string // name of the first child, in failures
	explanation string // text of the child text
}

// data is the message in the element. White space around it is left out.
func (e saslElement) data() ([]byte, error) {
	text := strings.TrimSpace(e.text)
	if text == "=" {
		return nil, nil
	}
	data, err := decodeBase64(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServerMessage, errBase64)
	}
	return data, nil
}

// read returns the next element. A stream error is an error.
func (s *saslStream) read() (saslElement, error) {
	start, err := s.start()
	if err != nil {
		return saslElement{}, err
	}
	if start.Name.Space == stream.NS && start.Name.Local == "error" {
		var e stream.Error
		if err := s.d.DecodeElement(&e, &start); err != nil {
			return saslElement{}, err
		}
		return saslElement{}, e
	}
	var e saslElement
	if start.Name.Space == nsSASL {
		e.name = start.Name.Local
	}
	return e, e.readContent(s.d)
}

// start skips white space up to the next element.
func (s *saslStream) start() (xml.StartElement, error) {
	for range maxSASLTokens {
		token, err := s.d.Token()
		switch t := token.(type) {
		case xml.StartElement:
			return t.Copy(), nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return xml.StartElement{}, fmt.Errorf("%w: %w", ErrServerMessage, errElement)
			}
		case xml.EndElement: // of the stream
			return xml.StartElement{}, io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return xml.StartElement{}, err
		}
	}
	return xml.StartElement{}, fmt.Errorf("%w: %w", ErrServerMessage, errSize)
}

// readContent reads up to the end of the element that has begun.
func (e *saslElement) readContent(d *xml.Decoder) error {
	path := make([]string, 0, 4)
	for range maxSASLTokens {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) == 1 && t.Name.Space == nsSASL && t.Name.Local != "text" && e.condition == "" {
				e.condition = t.Name.Local
			}
		case xml.EndElement:
			if len(path) == 0 {
				return nil
			}
			path = path[:len(path)-1]
		case xml.CharData:
			switch {
			case len(path) == 0:
				e.text += string(t)
			case len(path) == 1 && path[0] == "text":
				e.explanation += string(t)
			}
			if len(e.text)+len(e.explanation) > maxSASLText {
				return fmt.Errorf("%w: %w", ErrServerMessage, errSize)
			}
		}
	}
	return fmt.Errorf("%w: %w", ErrServerMessage, errSize)
}
