package negotiate

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// SASL authenticates the peers of streams. Its methods run on the goroutines
// that negotiate, several at a time.
type SASL interface {
	// Mechanisms lists what can succeed on the stream as it is (st.TLS, st.Domain),
	// best first; it is asked when features are sent. Names that are not listed are
	// refused with invalid-mechanism.
	Mechanisms(st *mux.Stream) []string
	// Start begins an exchange for the accounts of a served domain, which is
	// prepared. An error is answered as one of [Exchange.Step].
	Start(st *mux.Stream, mechanism, domain string) (Exchange, error)
}

// ChannelBinder is a [SASL] with mechanisms that bind the channel.
type ChannelBinder interface {
	// ChannelBindings are the types that can be used on the stream, to be told to
	// the peer before it chooses (XEP-0440 §2). With none nothing is told.
	ChannelBindings(st *mux.Stream) []string
}

// Exchange is one run of a mechanism, which ends with done or an error.
type Exchange interface {
	// Step takes the peer's next message: nil if it sent no initial response,
	// which is answered with an empty challenge by mechanisms in which the client
	// begins. With done the peer is authenticated and out goes with the success,
	// nil for nothing; else out is the next challenge. The error should be a
	// [SASLError]; any other is logged and answered with temporary-auth-failure.
	// Step may wait; ctx ends with the time for negotiation.
	Step(ctx context.Context, in []byte) (out []byte, done bool, err error)
	// Account is the bare JID that was authenticated, of the domain that the
	// exchange was started for; it is asked after done.
	Account() string
}

// SASLError is an error with a condition of RFC 6120 §6.5, which is all that the
// peer is told.
type SASLError interface {
	error
	SASLCondition() string
}

// Claimer is an [Exchange] that tells whose it is before that is proved, for those who
// watch over failures.
type Claimer interface {
	// Claimed is the prepared bare JID of whoever the peer says it is, whether there is
	// such an account or not; empty as long as it has named nobody.
	Claimed() string
}

// AuthFailure is an attempt to authenticate that failed.
type AuthFailure struct {
	Mechanism string // as the peer named it, cut after 64 octets
	Condition string // of RFC 6120 §6.5, as the peer will see it
	Err       error  // from SASL, nil if the attempt did not get that far
	// Account is whose login it was to be, whether there is such an account or not;
	// zero if the peer has named nobody or SASL does not tell, see [Claimer].
	Account mux.Address
}

// The conditions used here (RFC 6120 §6.5).
const (
	condAborted     = "aborted"
	condEncryption  = "encryption-required"
	condEncoding    = "incorrect-encoding"
	condMechanism   = "invalid-mechanism"
	condMalformed   = "malformed-request"
	condTemporary   = "temporary-auth-failure"
	maxSASLText     = 16 << 10 // octets of base64 (auth-register §5)
	maxSASLMessage  = 8 << 10  // octets decoded
	maxSASLSteps    = 10       // of one exchange
	maxSASLPause    = 30 * time.Second
	maxAborts       = 10 // of one stream (auth-register SA-7)
	maxTemporary    = 10 // of one stream: not counted as failures (SA-12), not for ever either
	maxNamedInAudit = 64
)

var conditions = []string{
	condAborted, "account-disabled", "credentials-expired", condEncryption, condEncoding, "invalid-authzid",
	condMechanism, condMalformed, "mechanism-too-weak", "not-authorized", condTemporary,
}

// auth is what is known of the attempts to authenticate.
type auth struct {
	listed                      []string // mechanisms, in the last features
	ex                          Exchange // nil if none is running
	mechanism                   string
	steps                       int
	failures, aborts, temporary int
	held                        mux.Address // whose success was held back already
}

// sasl handles an element of the SASL profile (RFC 6120 §6.4).
func (r *run) sasl(el *mux.Stanza) (next, error) {
	if r.st.State()&mux.Authenticated != 0 {
		return goOn, stream.NotAuthorized // auth-register SA-14
	}
	switch el.Name().Local {
	case "auth":
		return r.authenticate(el)
	case "response":
		if r.auth.ex == nil {
			return r.refuse(condMalformed, nil) // auth-register SA-6
		}
		data, wrong := saslData(el)
		if wrong != "" {
			return r.refuse(wrong, nil)
		}
		if data == nil {
			data = []byte{}
		}
		return r.step(data)
	case "abort":
		return r.refuse(condAborted, nil)
	}
	return goOn, stream.NotAuthorized
}

func (r *run) authenticate(el *mux.Stanza) (next, error) {
	running := r.auth.ex != nil
	name := el.Attr("mechanism")
	r.auth.mechanism = name[:min(len(name), maxNamedInAudit)]
	switch {
	case running:
		return r.refuse(condMalformed, nil) // auth-register SA-6
	case r.st.State()&mux.Secure == 0:
		return r.refuse(condEncryption, nil) // core-im LC-9
	case !slices.Contains(r.auth.listed, name):
		return r.refuse(condMechanism, nil) // auth-register SA-3
	}
	data, wrong := saslData(el)
	if wrong != "" {
		return r.refuse(wrong, nil)
	}
	ex, err := r.n.opt.SASL.Start(r.st, name, r.domain.String())
	if err != nil {
		return r.refuse(r.condition(err), err)
	}
	r.auth.ex, r.auth.steps = ex, 0
	return r.step(data)
}

// saslData is the message in an element, nil if it has none, or the condition
// that is the answer (RFC 6120 §6.4.2, auth-register SA-4, SA-5).
func saslData(el *mux.Stanza) (data []byte, wrong string) {
	if len(el.Children()) > 0 {
		return nil, condMalformed
	}
	text := strings.Trim(el.Text(), " \t\r\n")
	switch {
	case text == "":
		return nil, ""
	case text == "=":
		return []byte{}, ""
	case len(text) > maxSASLText:
		return nil, condMalformed
	case strings.IndexByte(text, '\r') >= 0, strings.IndexByte(text, '\n') >= 0: // which the decoder would skip
		return nil, condEncoding
	}
	data, err := strict.DecodeString(text)
	switch {
	case err != nil:
		return nil, condEncoding
	case len(data) > maxSASLMessage:
		return nil, condMalformed
	}
	return data, ""
}

var strict = base64.StdEncoding.Strict()

// step feeds the exchange.
func (r *run) step(data []byte) (next, error) {
	if r.auth.steps++; r.auth.steps > maxSASLSteps {
		return r.refuse(condMalformed, nil)
	}
	out, done, err := r.auth.ex.Step(r.ctx, data)
	switch {
	case err != nil:
		return r.refuse(r.condition(err), err)
	case !done:
		if out == nil {
			out = []byte{}
		}
		return goOn, r.t.WriteElement(saslElement("challenge", out))
	}
	account, err := r.owner(r.auth.ex.Account())
	if err != nil {
		r.n.log.LogAttrs(r.ctx, slog.LevelError, "SASL proved an unusable account", slog.Any("err", err))
		return r.refuse(condTemporary, err)
	}
	r.auth.ex = nil
	if err := r.holdSuccess(account); err != nil {
		return goOn, err
	}
	if err := r.t.WriteElement(saslElement("success", out)); err != nil {
		return goOn, err
	}
	r.authenticated(account)
	r.n.log.LogAttrs(r.ctx, slog.LevelDebug, "authenticated", slog.String("account", account.String()),
		slog.String("mechanism", r.auth.mechanism))
	return restart, nil
}

// authenticated notes who the peer is.
func (r *run) authenticated(a mux.Address) {
	r.st.SetAccount(a)
	r.t.Authenticated()
}

var errAccount = errors.New("no bare JID of the stream's domain")

// owner checks the name of an account: only of the domain that the stream is
// for, never with a resource.
func (r *run) owner(account string) (mux.Address, error) {
	a, err := mux.ParseAddress(account)
	if err != nil || !r.owns(a) {
		return mux.Address{}, errAccount
	}
	return a, nil
}

func (r *run) owns(a mux.Address) bool {
	return a.IsBare() && a.Local() != "" && a.Domain() == r.domain.String()
}

// saslElement writes a message; empty data is a single = (RFC 6120 §6.4.2,
// §6.4.6), nil none.
func saslElement(name string, data []byte) []byte {
	b := append([]byte("<"+name+" xmlns='"), nsSASL...)
	switch {
	case data == nil:
		return append(b, "'/>"...)
	case len(data) == 0:
		b = append(b, "'>="...)
	default:
		b = base64.StdEncoding.AppendEncode(append(b, "'>"...), data)
	}
	return append(b, "</"+name+">"...)
}

// condition is what an error means for the peer.
func (r *run) condition(err error) string {
	var se SASLError
	if errors.As(err, &se) && slices.Contains(conditions, se.SASLCondition()) {
		return se.SASLCondition()
	}
	r.n.log.LogAttrs(r.ctx, slog.LevelError, "authentication cannot be done", slog.String("mechanism", r.auth.mechanism), slog.Any("err", err))
	return condTemporary
}

// refuse ends the exchange with a failure, and the stream if there were too many
// (auth-register SA-7, SA-8, SA-12; core-im LIM-11).
func (r *run) refuse(condition string, cause error) (next, error) {
	claimed := r.claimed()
	r.auth.ex, r.auth.held = nil, mux.Address{}
	if r.auth.count(condition) {
		if err := r.penalty(AuthFailure{Mechanism: r.auth.mechanism, Condition: condition, Err: cause, Account: claimed}); err != nil {
			return goOn, err
		}
	}
	err := r.t.WriteElement([]byte("<failure xmlns='" + nsSASL + "'><" + condition + "/></failure>"))
	if err == nil && r.tooMany() {
		err = stream.PolicyViolation
	}
	return goOn, err
}

// count notes an attempt that failed, and reports whether there is a penalty.
func (a *auth) count(condition string) bool {
	switch condition {
	case condAborted:
		a.aborts++
		return false
	case condTemporary:
		a.temporary++
	default:
		a.failures++
	}
	return true
}

// tooMany attempts have failed, of SASL and of features together.
func (r *run) tooMany() bool {
	a := &r.auth
	return a.failures >= r.n.opt.MaxFailures || a.aborts > maxAborts || a.temporary > maxTemporary
}
