package sasl2

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// login is one authenticate and what follows from it, until it has succeeded or
// failed. It is used by the goroutine that negotiates the stream only.
type login struct {
	x   *Extension
	st  *mux.Stream
	req *request

	ex    Exchange // nil with a token
	steps int

	account    mux.Address
	client     string // empty if the program does not say which installation it is
	generation int64  // of the credentials that were proved, 0 if not known
	data       []byte // of the mechanism, for the peer
	told       bool   // data was sent, or there is none
	tasks      []string
	finish     func(ctx context.Context, saltedPassword []byte) error
	token      *issued
}

// outcome is short for what package mux calls it.
type outcome = mux.Outcome

// authenticate begins a login (XEP-0388 §2.3).
func (x *Extension) authenticate(ctx context.Context, st *mux.Stream, el *mux.Stanza) (outcome, error) {
	req, wrong := parseRequest(el)
	l := &login{x: x, st: st, req: req}
	switch {
	case req.version != nil && *req.version != x.state.Of(st).version:
		return l.mismatch(), nil // before anything else: XEP-0509 §2.2
	case wrong != "":
		return l.fail(wrong, nil)
	}
	if m, ok := x.token(st, req.mechanism); ok && req.fast != nil {
		if data, ok := x.binding(st, m); ok {
			return l.useToken(ctx, m, data)
		}
	}
	if !slices.Contains(x.state.Of(st).offered, req.mechanism) {
		return l.fail(condMechanism, nil)
	}
	ex, err := x.auth.Start(st, req.mechanism, st.Domain())
	if err != nil {
		return l.fail(l.condition(ctx, err), err)
	}
	l.ex = ex
	return l.feed(ctx, req.initial)
}

// feed gives the exchange the peer's message.
func (l *login) feed(ctx context.Context, in []byte) (outcome, error) {
	if l.steps++; l.steps > maxSteps {
		return l.fail(condMalformed, nil)
	}
	out, done, err := l.ex.Step(ctx, in)
	switch {
	case err != nil:
		return l.fail(l.condition(ctx, err), err)
	case done:
		return l.proved(ctx, out)
	case len(out) == 0:
		// XEP-0388 §2.2: there are no empty challenges (auth-register SA-5).
		return l.fail(condMalformed, nil)
	}
	return outcome{Reply: challenge(out), Next: l.response}, nil
}

// response takes what follows a challenge. Anything that does not belong there ends
// the stream (XEP-0388 §2.4).
func (l *login) response(ctx context.Context, _ *mux.Stream, el *mux.Stanza) (outcome, error) {
	switch el.Name() {
	case xml.Name{Space: NS, Local: "response"}:
	case abortName:
		return l.fail(condAborted, nil)
	default:
		return outcome{}, stream.PolicyViolation
	}
	if len(el.Children()) > 0 {
		return l.fail(condMalformed, nil)
	}
	in, wrong := decode(el.Text())
	if wrong != "" {
		return l.fail(wrong, nil)
	}
	return l.feed(ctx, in)
}

var abortName = xml.Name{Space: NS, Local: "abort"}

// proved is what follows when the mechanism has succeeded.
func (l *login) proved(ctx context.Context, data []byte) (outcome, error) {
	account, err := mux.ParseAddress(l.ex.Account())
	if err != nil || !account.IsBare() || account.Local() == "" || account.Domain() != l.st.Domain() {
		l.x.log.LogAttrs(ctx, slog.LevelError, "SASL proved an unusable account", slog.Any("err", err))
		return l.fail(condTemporary, err)
	}
	if from := l.st.From(); !from.IsZero() && from != account {
		return l.fail(condNotAuthorized, errOther) // auth-register S2-3
	}
	l.is(account)
	l.data, l.told = data, data == nil
	if g, ok := l.ex.(interface{ Generation() int64 }); ok {
		l.generation = g.Generation()
	}
	l.tasks = l.wanted(ctx)
	return l.next(ctx)
}

// is notes whose login it is.
func (l *login) is(account mux.Address) {
	l.account = account
	if l.req.agent.id != "" {
		l.client = l.x.keys.clientID(account, l.req.agent.id)
	}
}

var errOther = errors.New("account is not that of the stream")

// next goes on with the next task, or ends the login.
func (l *login) next(ctx context.Context) (outcome, error) {
	if len(l.tasks) > 0 {
		return outcome{Reply: l.toContinue(), Next: l.chosen, Account: l.account}, nil
	}
	if condition, err := l.enrol(ctx); condition != "" {
		return l.fail(condition, err)
	}
	return l.complete(ctx)
}

// fail ends the login; the stream is as it was before it (XEP-0388 §2.6).
func (l *login) fail(condition string, cause error) (outcome, error) {
	return l.failed(condition, cause, ""), nil
}

func (l *login) failed(condition string, cause error, more string) outcome {
	return outcome{
		Account: l.claimed(),
		Reply:   mux.Raw("<failure xmlns='" + NS + "'><" + condition + " xmlns='" + nsSASL + "'/>" + more + "</failure>"),
		Failed:  condition, Mechanism: l.req.mechanism, Cause: cause,
	}
}

// claimed is whose login it was to be; zero if that is not known.
func (l *login) claimed() mux.Address {
	if !l.account.IsZero() {
		return l.account
	}
	c, ok := l.ex.(interface{ Claimed() string })
	if !ok {
		return mux.Address{}
	}
	a, err := mux.ParseAddress(c.Claimed())
	if err != nil {
		return mux.Address{}
	}
	return a
}

// mismatch answers a request that rests on features of another time.
func (l *login) mismatch() outcome {
	return l.failed(condAborted, nil, "<config-version-mismatch xmlns='"+NSPipeline+"'/>")
}

var conditions = []string{
	condAborted, condDisabled, condExpired, "encryption-required", condEncoding, "invalid-authzid",
	condMechanism, condMalformed, "mechanism-too-weak", condNotAuthorized, condTemporary,
}

// condition is what an error means for the peer.
func (l *login) condition(ctx context.Context, err error) string {
	var se interface{ SASLCondition() string }
	if errors.As(err, &se) && slices.Contains(conditions, se.SASLCondition()) {
		return se.SASLCondition()
	}
	l.x.log.LogAttrs(ctx, slog.LevelError, "authentication cannot be done", slog.Any("err", err))
	return condTemporary
}

// password reports whether the mechanism proves that the peer knows the password.
func password(mechanism string) bool {
	return mechanism == "PLAIN" || strings.HasPrefix(mechanism, "SCRAM-")
}

// challenge is the element with a message of the mechanism.
type challenge []byte

// TokenReader implements [xmlstream.Marshaler].
func (c challenge) TokenReader() xml.TokenReader { return mux.Raw(c.AppendXML(nil)).TokenReader() }

// AppendXML appends the element.
func (c challenge) AppendXML(b []byte) []byte {
	b = append(b, "<challenge xmlns='"+NS+"'>"...)
	b = base64.StdEncoding.AppendEncode(b, c)
	return append(b, "</challenge>"...)
}

// appendData writes what the mechanism has to say, once.
func (l *login) appendData(b []byte) []byte {
	if l.told {
		return b
	}
	l.told = true
	b = append(b, "<additional-data>"...)
	b = base64.StdEncoding.AppendEncode(b, l.data)
	return append(b, "</additional-data>"...)
}
