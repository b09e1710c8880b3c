package mux

import (
	"errors"
	"strconv"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Errors of the kernel.
var (
	// ErrClosed: the stream or session has ended, or the mux shuts down.
	ErrClosed = errors.New("mux: closed")
	// ErrNoSession: there is no such session, or it is ending or being taken over.
	ErrNoSession = errors.New("mux: no such session")
	// ErrBusy: what the old stream of a session had in progress did not finish
	// in time.
	ErrBusy = errors.New("mux: old stream still at work")
	// ErrLimit: the account has as many sessions as it may.
	ErrLimit = errors.New("mux: too many sessions")
	// ErrConflict: the resource is taken and was not to be replaced.
	ErrConflict = errors.New("mux: resource in use")
	// ErrTimeout: a request was not answered in time.
	ErrTimeout = errors.New("mux: no reply in time")
	// ErrOverflow: more is waiting to be written than allowed.
	ErrOverflow = errors.New("mux: too much to write")
)

// Error is a stanza error with an application-specific condition (RFC 6120
// §8.3.4).
type Error struct {
	// Stanza is type, condition and text.
	Stanza stanza.Error
	// App is the condition, one well-formed element that declares its namespace.
	App Raw
	// Payload asks for the payload of the refused stanza to be sent back too.
	Payload bool
	// Body is sent before the error, such as that part of the payload which was wrong:
	// well-formed elements that declare their namespaces.
	Body Raw
	// Code is the number that old clients know the error by, for protocols that
	// demand it (XEP-0086; XEP-0077 §9); 0 for none.
	Code int
}

// Error implements error.
func (e *Error) Error() string { return e.Stanza.Error() }

// Unwrap gives the plain error.
func (e *Error) Unwrap() error { return e.Stanza }

// Errors that the kernel itself answers with.
var (
	errUnavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
	errInternal    = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errBadRequest  = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errMalformed   = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
)

// Stream errors (RFC 6120 §4.9.3) that the kernel ends streams with.
var (
	errInvalidFrom = stream.Error{Err: "invalid-from"}
	errAddressing  = stream.Error{Err: "improper-addressing"}
	errHostUnknown = stream.Error{Err: "host-unknown"}
	errUnsupported = stream.Error{Err: "unsupported-stanza-type"}
	errConflicting = stream.Error{Err: "conflict"}
	errServer      = stream.Error{Err: "internal-server-error"}
	errPolicy      = stream.Error{Err: "policy-violation"}
)

// ErrorReply is the error stanza that answers s (RFC 6120 §8.3), from whom s was
// for and to whom it was from; nil if s must not be answered: an error or a
// result. An err that is no stanza error counts as internal-server-error.
func ErrorReply(s *Stanza, err error) *Stanza {
	if s.typ == "error" || s.kind == IQ && s.typ == "result" || s.kind == Nonza {
		return nil
	}
	full := &Error{Stanza: errInternal}
	if se := (stanza.Error{}); !errors.As(err, &full) && errors.As(err, &se) {
		full = &Error{Stanza: se}
	}
	r := Make(Head{Kind: s.kind, Type: "error", ID: s.id, Lang: "", To: s.from, From: s.to})
	if s.badTo != "" {
		// RFC 6120 §8.3.1: the address as it was written.
		r.attrs = string(appendAttr(nil, "from", s.badTo))
	}
	body := make([]byte, 0, 160)
	if full.Payload {
		for _, c := range s.kids {
			body = append(body, c.selfContained()...)
		}
	}
	body = appendError(append(body, full.Body...), full.Stanza, full.Code, full.App)
	c := Child{Name: errorName, raw: string(body)}
	r.setChildren([]Child{c}, r.kids[:0])
	r.rec = nil
	return r
}

// appendError writes the error element, with a number for old clients only where
// one is given (XEP-0086 is obsolete).
func appendError(b []byte, e stanza.Error, code int, app Raw) []byte {
	typ, cond := string(e.Type), string(e.Condition)
	if typ == "" {
		typ = string(stanza.Cancel)
	}
	if cond == "" {
		cond = string(stanza.UndefinedCondition)
	}
	b = append(b, "<error"...)
	if code != 0 {
		b = appendAttr(b, "code", strconv.Itoa(code))
	}
	b = appendAttr(b, "type", typ)
	if by := e.By.String(); by != "" {
		b = appendAttr(b, "by", by)
	}
	b = append(b, "><"...)
	b = append(b, cond...)
	b = append(b, " xmlns='"+NSStanza+"'/>"...)
	for lang, text := range e.Text {
		if !xmlwrite.ValidText(text) || !xmlwrite.ValidText(lang) {
			continue
		}
		b = append(b, "<text xmlns='"+NSStanza+"'"...)
		if lang != "" {
			b = appendAttr(b, "xml:lang", lang)
		}
		b = append(b, '>')
		b = xmlwrite.AppendText(b, text)
		b = append(b, "</text>"...)
	}
	b = append(b, app...)
	return append(b, "</error>"...)
}
