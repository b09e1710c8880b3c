package pep

import (
	"errors"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

var errNoStore = errors.New("no store")

// withApp is an error with a condition of pubsub (XEP-0060 §17.2).
func withApp(typ stanza.ErrorType, c stanza.Condition, app string) error {
	return &mux.Error{Stanza: stanza.Error{Type: typ, Condition: c}, App: mux.Raw("<" + app + " xmlns='" + NSErrors + "'/>")}
}

func unsupported(feature string) error {
	return withApp(stanza.Cancel, stanza.FeatureNotImplemented, "unsupported feature='"+feature+"'")
}

// Errors that requests are answered with.
var (
	errBadRequest     = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errForbidden      = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errNotFound       = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	errConflict       = stanza.Error{Type: stanza.Cancel, Condition: stanza.Conflict}
	errInternal       = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errUnavailable    = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
	errNotImplemented = stanza.Error{Type: stanza.Cancel, Condition: stanza.FeatureNotImplemented}
	errOutOfRange     = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errTooFast        = stanza.Error{Type: stanza.Wait, Condition: stanza.PolicyViolation}

	errNodeRequired    = withApp(stanza.Modify, stanza.BadRequest, "nodeid-required")
	errPayloadTooBig   = withApp(stanza.Modify, stanza.NotAcceptable, "payload-too-big")
	errInvalidPayload  = withApp(stanza.Modify, stanza.BadRequest, "invalid-payload")
	errItemRequired    = withApp(stanza.Modify, stanza.BadRequest, "item-required")
	errPayloadRequired = withApp(stanza.Modify, stanza.BadRequest, "payload-required")
	errItemForbidden   = withApp(stanza.Modify, stanza.BadRequest, "item-forbidden")
	errNodeFull        = withApp(stanza.Cancel, stanza.Conflict, "node-full")
	errInvalidOptions  = withApp(stanza.Modify, stanza.BadRequest, "invalid-options")
	errAccessModel     = withApp(stanza.Modify, stanza.NotAcceptable, "unsupported-access-model")
	errNeedsPresence   = withApp(stanza.Auth, stanza.NotAuthorized, "presence-subscription-required")
	errNotInGroup      = withApp(stanza.Auth, stanza.NotAuthorized, "not-in-roster-group")
	errClosedNode      = withApp(stanza.Cancel, stanza.NotAllowed, "closed-node")
	errNotSubscribed   = withApp(stanza.Auth, stanza.NotAuthorized, "not-subscribed")
	errPending         = withApp(stanza.Auth, stanza.NotAuthorized, "pending-subscription")
	errInvalidJID      = withApp(stanza.Modify, stanza.BadRequest, "invalid-jid")
	errJIDRequired     = withApp(stanza.Modify, stanza.BadRequest, "jid-required")
	errTooManySubs     = withApp(stanza.Wait, stanza.PolicyViolation, "too-many-subscriptions")
	errTooManyNodes    = withApp(stanza.Wait, stanza.PolicyViolation, "max-nodes-exceeded")
	errUnsubscribed    = withApp(stanza.Cancel, stanza.UnexpectedRequest, "not-subscribed")
	errNoSubscribe     = unsupported("subscribe")
	errNotPersistent   = unsupported("persistent-items")
)

// errPrecondition names the field that differs (XEP-0060 §7.1.5).
func errPrecondition(field string) error {
	return &mux.Error{
		Stanza: stanza.Error{Type: stanza.Cancel, Condition: stanza.Conflict, Text: map[string]string{"en": "The node differs in " + varPrefix + field}},
		App:    "<precondition-not-met xmlns='" + NSErrors + "'/>",
	}
}
