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
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

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
	// features are the namespaces of those that were listed, nil if none were
	features []string
}

// asks is what a login should try.
type asks struct {
	addr     jid.JID // with the resource to ask for, if any
	token    string
	h        func() uint32 // at the moment it is told
	seconds  int
	features []xmpp.StreamFeature
	warn     func(string)
}

// errSM is a server that does not stick to XEP-0198.
var errSM = errors.New("smacks: unexpected answer")

// errWrong is one with whom a session cannot be resumed for that.
var errWrong = fmt.Errorf("%w to resume", errSM)

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
func logInBy(ctx context.Context, c net.Conn, q *asks, by func(context.Context, net.Conn, jid.JID, string, string) (LoggedIn, error)) (*login, error) {
	resume := ""
	if q.token != "" {
		resume = string(q.resume())
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // wakes whoever waits for it
	defer stop()
	in, err := by(ctx, c, q.addr, resume, string(q.enable()))
	if err != nil {
		_ = c.Close() // it is of no more use
		return nil, err
	}
	l := &login{el: newElements(in.Conn), jid: in.JID, features: in.Features}
	l.el.sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: maxElement})
	attr := func(m map[string]string) func(string) string { return func(name string) string { return m[name] } }
	switch {
	case in.Resumed != nil && resume == "":
		err = fmt.Errorf("%w: nothing was to be resumed", errSM)
	case in.Resumed != nil:
		err = l.goesOn(q, attr(in.Resumed))
	case in.JID.Resourcepart() == "":
		err = fmt.Errorf("%w: nothing was bound", errSM)
	case len(in.Enabled) > 0:
		l.turnedOn(q, attr(in.Enabled)) // and no second one is asked for (smacks IN-13)
	case in.Enabled != nil:
		err = l.enable(q)
	}
	if in.Failed != nil {
		l.cannot(attr(in.Failed))
	}
	if err != nil {
		_ = in.Conn.Close() // it is of no more use
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
	l.features = l.el.listed
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
	if _, wrong := el.Child(tooHighName); wrong && el.Name() == streamError {
		return errWrong // it would be every time
	}
	return fmt.Errorf("%w to resume: %s", errSM, el.Name().Local)
}

// goesOn takes resumed, cannot takes failed, and turnedOn takes enabled.
func (l *login) goesOn(q *asks, attr func(string) string) error {
	h, ok := parseH(attr("h"))
	if !ok || attr("previd") != q.token {
		return errWrong
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

func (l *login) turnedOn(q *asks, attr func(string) string) {
	resumable := parseBool(attr("resume"))
	if resumable && attr("id") == "" {
		q.warn("server enables a resumption without an id") // and with that nothing (smacks SM-9)
		return
	}
	l.on = true
	if resumable {
		l.token, l.where = attr("id"), attr("location")
		l.max = time.Duration(parseMax(attr("max"))) * time.Second
	}
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
			l.turnedOn(q, el.Attr)
			return nil
		}
		l.early = append(l.early, append([]byte(nil), raw...))
	}
}
