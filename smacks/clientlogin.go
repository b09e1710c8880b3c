package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
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
		_, raw, err := e.next()
		if err != nil {
			return 0, err
		}
		e.rest = raw
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

// login is how a connection came to be ready for stanzas.
type login struct {
	el      *elements
	jid     jid.JID
	resumed *uint32 // h, if the session goes on
	refused bool    // it does not
	known   *uint32 // h of one that has ended, if told
	on      bool    // stream management is
	token   string
	max     time.Duration
	where   string   // location
	early   [][]byte // stanzas that came before it was on
}

// asks is what a login should try.
type asks struct {
	addr     jid.JID // with the resource to ask for, if any
	token    string
	h        func() uint32 // at the moment it is told
	seconds  int
	features []xmpp.StreamFeature
}

// errSM is a server that does not stick to XEP-0198.
var errSM = errors.New("smacks: unexpected answer")

// logIn negotiates: what the caller's features do, and then a resumption or a
// session with stream management.
func logIn(ctx context.Context, c net.Conn, q *asks) (*login, error) {
	l := new(login)
	features := make([]xmpp.StreamFeature, 0, len(q.features)+2)
	for _, f := range q.features {
		features = append(features, l.watch(f))
	}
	features = append(features,
		xmpp.StreamFeature{Name: xml.Name{Space: NS, Local: "sm"}, Necessary: xmpp.Authn, Prohibited: xmpp.Ready, Parse: parseAny(false)},
		xmpp.StreamFeature{Name: xml.Name{Space: nsBind, Local: "bind"}, Necessary: xmpp.Authn, Prohibited: xmpp.Ready, Parse: parseAny(true),
			Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
				_, offered := s.Feature(NS)
				return xmpp.Ready, nil, l.finish(q, offered)
			}})
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // wakes whoever waits for it
	defer stop()
	negotiate := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	})
	// mellium has a connection time out for a moment when the context of its login ends,
	// which may come late and hit the session.
	_, err := xmpp.NewSession(context.WithoutCancel(ctx), q.addr.Domain(), q.addr, c, 0,
		func(_ context.Context, in, out *stream.Info, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
			return negotiate(ctx, in, out, s, data)
		})
	if err != nil {
		_ = c.Close() // it is of no more use
		return nil, err
	}
	if l.jid.Equal(jid.JID{}) {
		_ = c.Close() // it is of no more use
		return nil, fmt.Errorf("%w: nothing was bound", errSM)
	}
	return l, nil
}

// logInBy negotiates by what the caller has for it.
func logInBy(ctx context.Context, c net.Conn, q *asks, by func(context.Context, net.Conn, jid.JID, string, string) (net.Conn, jid.JID, map[string]string, map[string]string, map[string]string, error)) (*login, error) {
	resume := ""
	if q.token != "" {
		resume = string(q.resume())
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // wakes whoever waits for it
	defer stop()
	conn, bound, resumed, failed, enabled, err := by(ctx, c, q.addr, resume, string(q.enable()))
	if err != nil {
		_ = c.Close() // it is of no more use
		return nil, err
	}
	l := &login{el: newElements(conn), jid: bound}
	l.el.sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: maxElement})
	attr := func(m map[string]string) func(string) string { return func(name string) string { return m[name] } }
	switch {
	case resumed != nil && resume == "":
		err = fmt.Errorf("%w: nothing was to be resumed", errSM)
	case resumed != nil:
		err = l.goesOn(q, attr(resumed))
	case bound.Resourcepart() == "":
		err = fmt.Errorf("%w: nothing was bound", errSM)
	case len(enabled) > 0:
		l.turnedOn(attr(enabled)) // and no second one is asked for (smacks IN-13)
	case enabled != nil:
		err = l.enable(q)
	}
	if failed != nil {
		l.cannot(attr(failed))
	}
	if err != nil {
		_ = conn.Close() // it is of no more use
		return nil, err
	}
	return l, nil
}

const nsBind = "urn:ietf:params:xml:ns:xmpp-bind"

func parseAny(required bool) func(context.Context, *xml.Decoder, *xml.StartElement) (bool, any, error) {
	return func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
		return required, nil, d.Skip()
	}
}

// watch has the connection be read element by element from authentication on.
func (l *login) watch(f xmpp.StreamFeature) xmpp.StreamFeature {
	negotiate := f.Negotiate
	if negotiate == nil {
		return f
	}
	f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		mask, rw, err := negotiate(ctx, s, data)
		if err == nil && mask&xmpp.Authn != 0 {
			l.el = newElements(s.Conn())
			rw = l.el
		}
		return mask, rw, err
	}
	return f
}

// finish resumes or binds. mellium's decoder has read just what was given to it, so
// the connection can be read without it from here on.
func (l *login) finish(q *asks, offered bool) error {
	if l.el == nil {
		return fmt.Errorf("%w: no authentication", errSM)
	}
	if offered && q.token != "" {
		if err := l.resume(q); err != nil || l.resumed != nil {
			return err
		}
	}
	if err := l.bind(q.addr.Resourcepart()); err != nil {
		return err
	}
	if !offered {
		return nil
	}
	return l.enable(q)
}

func (l *login) write(b []byte) error {
	_, err := l.el.Write(b)
	return err
}

func (q *asks) resume() []byte {
	b := []byte("<resume xmlns='" + NS + "' previd='")
	return append(xmlwrite.AppendAttrValue(b, q.token), "' h='"+utoa(q.h())+"'/>"...)
}

func (q *asks) enable() []byte {
	b := "<enable xmlns='" + NS + "' resume='true'"
	if q.seconds > 0 {
		b += " max='" + strconv.Itoa(q.seconds) + "'"
	}
	return []byte(b + "/>")
}

func (l *login) resume(q *asks) error {
	if err := l.write(q.resume()); err != nil {
		return err
	}
	el, err := l.el.element()
	switch {
	case err != nil:
		return err
	case el.Name() == (xml.Name{Space: NS, Local: "resumed"}):
		return l.goesOn(q, el.Attr)
	case el.Name() == (xml.Name{Space: NS, Local: "failed"}):
		l.cannot(el.Attr)
		return nil
	}
	return fmt.Errorf("%w to resume: %s", errSM, el.Name().Local)
}

// goesOn takes resumed, cannot takes failed, and turnedOn takes enabled.
func (l *login) goesOn(q *asks, attr func(string) string) error {
	h, ok := parseH(attr("h"))
	if !ok || attr("previd") != q.token {
		return fmt.Errorf("%w to resume", errSM)
	}
	l.resumed, l.on, l.jid, l.token = &h, true, q.addr, q.token
	return nil
}

func (l *login) cannot(attr func(string) string) {
	l.refused = true
	if h, ok := parseH(attr("h")); ok {
		l.known = &h
	}
}

func (l *login) turnedOn(attr func(string) string) {
	l.on = true
	if parseBool(attr("resume")) {
		l.token, l.where = attr("id"), attr("location")
		l.max = time.Duration(parseMax(attr("max"))) * time.Second
	}
}

// bind binds a resource (RFC 6120 §7).
func (l *login) bind(resource string) error {
	id := stanzaID()
	b := []byte("<iq type='set' id='" + id + "'><bind xmlns='" + nsBind + "'>")
	if resource != "" {
		b = append(b, "<resource>"...)
		b = append(xmlwrite.AppendText(b, resource), "</resource>"...)
	}
	if err := l.write(append(b, "</bind></iq>"...)); err != nil {
		return err
	}
	el, err := l.el.element()
	if err != nil {
		return err
	}
	if el.Kind() != mux.IQ || el.ID() != id {
		return fmt.Errorf("%w to bind: %s", errSM, el.Name().Local)
	}
	if el.Type() != "result" {
		return bindError(el)
	}
	for _, c := range el.Children() {
		d, err := c.Element()
		if err != nil {
			return err
		}
		if j, ok := d.Child(xml.Name{Space: nsBind, Local: "jid"}); ok {
			l.jid, err = jid.Parse(j.Text())
			return err
		}
	}
	return fmt.Errorf("%w to bind", errSM)
}

func bindError(el *mux.Stanza) error {
	var e struct {
		Error stanza.Error `xml:"error"`
	}
	if err := xml.Unmarshal(el.Append(nil, mux.NSClient), &e); err != nil {
		return err
	}
	return e.Error
}

// enable turns stream management on; what comes before it is on does not count.
func (l *login) enable(q *asks) error {
	if err := l.write(q.enable()); err != nil {
		return err
	}
	for {
		kind, raw, err := l.el.next()
		switch {
		case err != nil:
			return err
		case kind == xmlscan.Close:
			return io.ErrUnexpectedEOF
		case kind != xmlscan.Element:
			continue
		}
		el := mux.FromScanner(&l.el.sc, raw)
		switch el.Name() {
		case xml.Name{Space: NS, Local: "failed"}:
			return nil
		case xml.Name{Space: NS, Local: "enabled"}:
			l.turnedOn(el.Attr)
			return nil
		}
		l.early = append(l.early, append([]byte(nil), raw...))
	}
}
