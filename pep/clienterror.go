package pep

import (
	"encoding/xml"
	"errors"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Condition is what a pubsub service says beside the condition of a stanza error
// (XEP-0060 §17.2). It is an error, so that errors.Is finds it in what the functions of
// [Client] return; conditions that are not listed here are kept by their names.
type Condition string

// The conditions.
const (
	ErrClosedNode            Condition = "closed-node"
	ErrConfigurationRequired Condition = "configuration-required"
	ErrInvalidJID            Condition = "invalid-jid"
	ErrInvalidOptions        Condition = "invalid-options"
	ErrInvalidPayload        Condition = "invalid-payload"
	ErrInvalidSubID          Condition = "invalid-subid"
	ErrItemForbidden         Condition = "item-forbidden"
	ErrItemRequired          Condition = "item-required"
	ErrJIDRequired           Condition = "jid-required"
	ErrMaxItemsExceeded      Condition = "max-items-exceeded"
	ErrMaxNodesExceeded      Condition = "max-nodes-exceeded"
	ErrNodeFull              Condition = "node-full" // §7.1.3.4; the schema has forgotten it
	ErrNodeIDRequired        Condition = "nodeid-required"
	ErrNotInRosterGroup      Condition = "not-in-roster-group"
	ErrNotSubscribed         Condition = "not-subscribed"
	ErrPayloadTooBig         Condition = "payload-too-big"
	ErrPayloadRequired       Condition = "payload-required"
	ErrPendingSubscription   Condition = "pending-subscription"
	ErrPreconditionNotMet    Condition = "precondition-not-met"
	ErrPresenceRequired      Condition = "presence-subscription-required"
	ErrSubIDRequired         Condition = "subid-required"
	ErrTooManySubscriptions  Condition = "too-many-subscriptions"
	ErrUnsupported           Condition = "unsupported" // whatever it is; see UnsupportedFeature
	ErrUnsupportedAccess     Condition = "unsupported-access-model"
)

// Error implements error.
func (c Condition) Error() string { return "pep: " + string(c) }

// UnsupportedFeature is [ErrUnsupported] of one feature, such as subscribe, for
// errors.Is.
type UnsupportedFeature string

// Error implements error.
func (f UnsupportedFeature) Error() string { return "pep: unsupported: " + string(f) }

// Error is what a service has refused a request with. errors.Is finds in it the
// [Condition], the [UnsupportedFeature] and, as everywhere, a [stanza.Error] by its type
// and condition.
type Error struct {
	// Stanza is type, condition and text.
	Stanza stanza.Error
	// Condition is that of pubsub, empty if there is none.
	Condition Condition
	// Feature says what is unsupported.
	Feature string
}

// Error implements error.
func (e *Error) Error() string {
	b := "pep: " + string(e.Stanza.Condition)
	if e.Condition != "" {
		b += ", " + string(e.Condition)
	}
	if e.Feature != "" {
		b += " " + e.Feature
	}
	if len(e.Stanza.Text) > 0 {
		b += ": " + e.Stanza.Error()
	}
	return b
}

// Is finds conditions.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Condition:
		return e.Condition != "" && e.Condition == t
	case UnsupportedFeature:
		return e.Condition == ErrUnsupported && e.Feature == string(t)
	}
	return false
}

// Unwrap gives the plain error.
func (e *Error) Unwrap() error { return e.Stanza }

// passing reports whether the same request may succeed at another time.
func (e *Error) passing() bool {
	switch e.Stanza.Condition {
	case stanza.InternalServerError, stanza.ResourceConstraint, stanza.RemoteServerTimeout:
		return true
	}
	return e.Stanza.Type == stanza.Wait
}

// errorXML is an error element.
type errorXML struct {
	Type string         `xml:"type,attr"`
	By   string         `xml:"by,attr"`
	Kids []conditionXML `xml:",any"`
}

type conditionXML struct {
	XMLName xml.Name
	Lang    string `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
	Feature string `xml:"feature,attr"`
	Text    string `xml:",chardata"`
}

// read makes an error of the element; nil is one without anything in it.
func (x *errorXML) read() *Error {
	e := &Error{Stanza: stanza.Error{Condition: stanza.UndefinedCondition}}
	if x == nil {
		return e
	}
	e.Stanza.Type = stanza.ErrorType(x.Type)
	e.Stanza.By, _ = jid.Parse(x.By) // it is for people who look for the cause
	defined := false
	for _, k := range x.Kids {
		switch {
		case k.XMLName.Space == stanza.NSError && k.XMLName.Local == "text":
			if text := strings.TrimSpace(k.Text); text != "" {
				if e.Stanza.Text == nil {
					e.Stanza.Text = make(map[string]string)
				}
				e.Stanza.Text[k.Lang] = text
			}
		case k.XMLName.Space == stanza.NSError && !defined:
			e.Stanza.Condition, defined = stanza.Condition(k.XMLName.Local), true
		case k.XMLName.Space == NSErrors && e.Condition == "":
			e.Condition, e.Feature = Condition(k.XMLName.Local), k.Feature
		}
	}
	return e
}

// isRefused reports whether a service has refused something with a plain condition.
func isRefused(err error, se stanza.Error) bool {
	var e *Error
	return errors.As(err, &e) && errors.Is(e.Stanza, se)
}
