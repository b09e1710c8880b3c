package register

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// streamState is what is known of somebody who has not logged in.
type streamState struct {
	grant      *Grant
	badTokens  int
	challenges int
	challenge  *issued
}

// issued is a challenge that waits for an answer.
type issued struct {
	Challenge
	id, sid string
	until   time.Time
}

// maxBadTokens is how many tokens may be guessed on one stream (auth-register IV-6).
const maxBadTokens = 5

// serves reports whether there is anything to register for at all. Closed for all
// others, it is open for those who reset a password.
func (x *Extension) serves(st *mux.Stream) bool {
	return st.Role() == mux.Client && st.State()&mux.Secure != 0 && st.State()&mux.Registered == 0
}

// list is the stream feature (XEP-0077 §8): to clients only.
func (x *Extension) list(_ context.Context, st *mux.Stream) xmlstream.Marshaler {
	if !x.serves(st) || x.opt.Policy == Closed {
		return nil
	}
	return mux.Raw("<register xmlns='" + NSFeature + "'/>")
}

// listToken is the stream feature of invitations (XEP-0445 §3). It is there where
// registration is closed, too: for links that reset a password.
func (x *Extension) listToken(_ context.Context, st *mux.Stream) xmlstream.Marshaler {
	if !x.serves(st) {
		return nil
	}
	return mux.Raw("<register xmlns='" + NSToken + "'/>")
}

// forDomain refuses what is not for the domain of the stream.
func forDomain(st *mux.Stream, el *mux.Stanza) bool {
	to := el.To()
	return el.MalformedTo() == "" && (to.IsZero() || to.String() == st.Domain())
}

// step answers a request of somebody who has not authenticated.
func (x *Extension) step(ctx context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	state := x.streams.Of(st)
	switch {
	case !forDomain(st, el):
		return mux.Outcome{}, stream.NotAuthorized // RFC 6120 §6.3.1: nothing is routed yet
	case st.Role() != mux.Client, x.opt.Policy == Closed && state.grant == nil:
		return mux.Outcome{}, errClosed // XEP-0077 §3.1
	case st.State()&mux.Secure == 0:
		return mux.Outcome{}, errInsecure // XEP-0077 §11
	case el.Type() == "get":
		return x.form(ctx, st, state, el)
	case el.Type() != "set":
		return mux.Outcome{}, errBadRequest
	case st.State()&mux.Registered != 0:
		return mux.Outcome{}, errSecond // XEP-0077 §3.1.1
	case x.opt.Redirect != "" && state.grant == nil:
		return mux.Outcome{}, errNotAllowed
	}
	return mux.Outcome{}, x.submit(ctx, st, state, el)
}

// form answers a get.
func (x *Extension) form(ctx context.Context, st *mux.Stream, state *streamState, el *mux.Stanza) (mux.Outcome, error) {
	instructions, name := x.opt.Instructions, ""
	switch {
	case state.grant != nil:
		if name = state.grant.Name(); state.grant.Reset() {
			instructions = "Choose a new password."
		}
	case x.opt.Redirect != "":
		return mux.Outcome{Reply: redirection(instructions, x.opt.Redirect)}, nil
	}
	f := x.registerForm(instructions, name, x.opt.Policy == ByApproval && state.grant == nil)
	if x.opt.Challenger != nil && state.grant == nil && x.opt.Policy != ByInvite {
		if err := x.challenge(ctx, st, state, el, f); err != nil {
			return mux.Outcome{}, err
		}
		return mux.Outcome{Reply: challenged(x.opt.ChallengePage, f)}, nil
	}
	return mux.Outcome{Reply: fields(false, instructions, name, f)}, nil
}

// challenge adds one to a form (XEP-0158 §4).
func (x *Extension) challenge(ctx context.Context, st *mux.Stream, state *streamState, el *mux.Stanza, f *dataform.Form) error {
	state.challenge = nil // of several the last counts
	if state.challenges >= MaxChallenges {
		return stream.PolicyViolation // auth-register AB-6
	}
	state.challenges++
	c, err := x.opt.Challenger.Challenge(ctx, st.Domain())
	if err != nil {
		return x.answer(ctx, err, "challenge")
	}
	state.challenge = &issued{Challenge: c, id: newToken(), sid: el.ID(), until: time.Now().Add(ChallengeLifetime)}
	f.Fields = append(f.Fields, dataform.Hidden("challenge", state.challenge.id), dataform.Hidden("sid", state.challenge.sid))
	for _, c := range c.Fields() {
		f.Fields = append(f.Fields, dataform.Field{Var: c.Name, Type: "text-single", Label: c.Label, Required: c.Required, Extra: media(c.Media)})
	}
	return nil
}

// media writes pointers to pictures and sounds (XEP-0221).
func media(list [][2]string) string {
	if len(list) == 0 {
		return ""
	}
	b := []byte("<media xmlns='urn:xmpp:media-element'>")
	for _, m := range list {
		b = xmlwrite.AppendAttrValue(append(b, "<uri type='"...), m[0])
		b = xmlwrite.AppendText(append(b, "'>"...), m[1])
		b = append(b, "</uri>"...)
	}
	return string(append(b, "</media>"...))
}

// solved looks at the answer to the challenge of the stream, which is used up by it.
func (x *Extension) solved(state *streamState, q *query) error {
	c := state.challenge
	state.challenge = nil
	if q.form == nil || c == nil || time.Now().After(c.until) {
		return errNoChallenge
	}
	one := func(name string) string {
		v, _ := q.form.One(name)
		return v
	}
	switch {
	case one("challenge") != c.id, one("sid") != c.sid:
		return errNoChallenge
	case !c.Solved(one):
		return errChallenge
	}
	return nil
}

// submit answers a set.
func (x *Extension) submit(ctx context.Context, st *mux.Stream, state *streamState, el *mux.Stanza) error {
	source := x.opt.Source(st)
	r := Request{Path: InBand, Source: source, Domain: st.Domain(), Grant: state.grant}
	if err := x.admits(&r); err != nil {
		return x.answer(ctx, err, "policy")
	}
	q, err := x.read(ctx, st, state, el, &r)
	if err != nil {
		return err
	}
	r.Name, r.Password = q.username, q.password
	if q.form != nil {
		r.Reason = strings.Join(q.form.Values["reason"], "\n")
	}
	if _, err = x.SignUp(ctx, r); err != nil {
		return x.answer(ctx, err, "create")
	}
	// Not through the outcome: what is offered stays as it was (auth-register RG-9).
	st.SetState(mux.Registered)
	state.grant = nil
	time.AfterFunc(x.opt.LoginTime, func() {
		if st.State()&mux.Authenticated == 0 {
			st.Close(stream.NotAuthorized) // XEP-0077 §3.1.1
		}
	})
	return nil
}

// read takes a set apart. What is wrong with it, and with the answer to the challenge,
// counts as a try.
func (x *Extension) read(ctx context.Context, st *mux.Stream, state *streamState, el *mux.Stanza, r *Request) (query, error) {
	q, ok := parse(el)
	var bad error
	switch {
	case !ok, q.form != nil && !q.is(formRegister):
		bad = errBadRequest
	case q.remove:
		bad = errUnexpected // XEP-0077 §3.2: nobody is there whose account could be meant
	case x.opt.Challenger != nil && state.grant == nil:
		bad = x.solved(state, &q)
		r.Solved = bad == nil
	}
	if bad == nil {
		return q, nil
	}
	end, err := x.begin(ctx, r.Source, st.Domain())
	if err != nil {
		return q, x.answer(ctx, err, "limit")
	}
	end(Failed)
	return q, bad
}

// preauth takes a token (XEP-0445 §4).
func (x *Extension) preauth(ctx context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	switch {
	case !forDomain(st, el):
		return mux.Outcome{}, stream.NotAuthorized
	case st.Role() != mux.Client:
		return mux.Outcome{}, errClosed
	case st.State()&mux.Secure == 0:
		return mux.Outcome{}, errInsecure
	case el.Type() != "set":
		return mux.Outcome{}, errBadRequest
	case st.State()&mux.Registered != 0:
		return mux.Outcome{}, errSecond
	}
	state := x.streams.Of(st)
	state.grant = nil // a second one replaces the first (auth-register IV-7)
	var token string
	if c, ok := el.Child(preauthName); ok {
		token = c.Attr("token")
	}
	grant, err := x.Present(ctx, x.opt.Source(st), st.Domain(), token)
	if err == nil {
		state.grant = grant
		return mux.Outcome{}, nil
	}
	if errors.Is(err, ErrToken) {
		if state.badTokens++; state.badTokens >= maxBadTokens {
			return mux.Outcome{}, stream.PolicyViolation
		}
	}
	return mux.Outcome{}, x.answer(ctx, err, "token")
}

var preauthName = xml.Name{Space: NSPars, Local: "preauth"}
