package signup

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/propolis-im/propolis/register"
)

// patience bounds what a request may cause.
const patience = time.Minute

// registration is the page for those without an invitation.
func (h *Handler) registration(w http.ResponseWriter, r *http.Request) {
	p := h.peer(r)
	if t := unsafe(p); t != nil {
		h.problem(w, r, t)
		return
	}
	domain := h.home(r)
	if d := r.URL.Query().Get("domain"); slices.Contains(h.domains(), d) {
		domain = d
	}
	v, err := h.stranger(w, r, p, domain)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "register", v)
}

// stranger is what a page knows of somebody without an invitation.
func (h *Handler) stranger(w http.ResponseWriter, r *http.Request, p peer, domain string) (*view, error) {
	switch h.people.Policy() {
	case register.Closed:
		return nil, register.ErrClosed
	case register.ByInvite:
		return nil, register.ErrUninvited
	}
	v := h.view("Create an account", domain)
	v.Register, v.Approval = true, h.people.Policy() == register.ByApproval
	v.Apps = sortClients(h.opt.Clients, r.UserAgent())
	v.Others = slices.DeleteFunc(slices.Clone(h.domains()), func(d string) bool { return d == domain })
	v.Form = h.forms.make(browser(w, r, p), about(""), time.Now())
	var err error
	v.Task, err = h.challenge(r.Context(), p, domain)
	return v, err
}

// account takes a form, and makes an account or sets a password.
func (h *Handler) account(w http.ResponseWriter, r *http.Request) {
	// Not that of the request: whether the account is made must not hang on somebody's
	// waiting for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	p := h.peer(r)
	if !h.genuine(r, p) {
		h.make(ctx, w, r, p, new(attempt))
		return
	}
	c, _ := r.Cookie(cookieName(p)) // is there
	m := h.forms.mark(c.Value, r.PostForm)
	a, first, err := h.sent.begin(ctx, m)
	switch {
	case err != nil:
		h.problem(w, r, busy)
	case first:
		defer h.sent.end(m, a)
		h.make(ctx, w, r, p, a)
	default:
		h.done(w, r, &a.ask, &a.res)
	}
}

// make does what a form asks for, and notes success in a.
func (h *Handler) make(ctx context.Context, w http.ResponseWriter, r *http.Request, p peer, a *attempt) {
	f := r.PostForm
	token := f.Get("token")
	ask := register.Request{Path: register.Web, Source: p.source, Domain: f.Get("domain"), Password: f.Get("password"), Reason: f.Get("reason")}
	if token != "" {
		g, err := h.look(ctx, p.source, token)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		ask.Grant, ask.Domain = g, g.Invite().Domain
	} else if !slices.Contains(h.domains(), ask.Domain) {
		h.problem(w, r, badForm)
		return
	}
	ask.Name = typed(f.Get("username"), ask.Domain)
	if ask.Grant != nil && ask.Grant.Name() != "" {
		ask.Name = ask.Grant.Name() // shown, and not to be edited (auth-register IV-5)
	}
	if c := h.wrong(r, p); c != nil {
		h.again(w, r, p, &ask, token, c)
		return
	}
	if ask.Grant == nil {
		ask.Solved = h.solved(p, ask.Domain, f.Get("challenge"), func(name string) string { return f.Get("answer-" + name) })
	}
	res, err := h.people.SignUp(ctx, ask)
	if errors.Is(err, register.ErrTaken) && ask.Grant != nil && ask.Grant.Name() != "" {
		h.problem(w, r, badToken) // there is no other name to choose
		return
	}
	if err != nil {
		for i := range complaints {
			if errors.Is(err, complaints[i].err) {
				h.again(w, r, p, &ask, token, &complaints[i])
				return
			}
		}
		h.fail(w, r, err)
		return
	}
	a.succeeded(ask, res)
	h.done(w, r, &ask, &res)
}

// wrong is what can be said of a form before anybody is asked.
func (h *Handler) wrong(r *http.Request, p peer) *complaint {
	switch again, typed := r.PostForm["again"]; {
	case !h.genuine(r, p):
		return &complaint{nil, http.StatusForbidden, "", "This page was open for too long, or your browser keeps no cookies. Nothing was changed. Please send the form again."}
	case typed && again[0] != r.PostForm.Get("password"):
		return &complaint{nil, http.StatusUnprocessableEntity, "again", "The two passwords differ."}
	}
	return nil
}

// again shows the form with what was wrong, and all that was typed but the password.
func (h *Handler) again(w http.ResponseWriter, r *http.Request, p peer, ask *register.Request, token string, c *complaint) {
	var v *view
	var err error
	name := "register"
	if ask.Grant != nil {
		name = "invite"
		v, err = h.invited(w, r, p, ask.Grant, token)
	} else {
		v, err = h.stranger(w, r, p, ask.Domain)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	text := c.text
	if c.err == register.ErrChallenge && v.Task != nil && len(v.Task.Fields) == 0 {
		text = idle
	}
	v.Error, v.Field, v.Username, v.Reason = text, c.field, printable(ask.Name), printable(ask.Reason)
	h.render(w, r, c.status, name, v)
}

// typed is the name in what people type for one: keyboards of phones add spaces, and some
// write the whole address.
func typed(text, domain string) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexByte(text, '@'); i > 0 && strings.EqualFold(text[i+1:], domain) {
		return text[:i]
	}
	return text
}

// printable is what somebody has typed without what no page can hold.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || r&0xfffe == 0xfffe {
			return -1
		}
		return r
	}, text)
}

// done tells of the account, and what to do with it.
func (h *Handler) done(w http.ResponseWriter, r *http.Request, ask *register.Request, res *register.Result) {
	v := h.view("Your account is ready", ask.Domain)
	switch {
	case res.Reset:
		v.Title, v.Kind = "Your new password is set", "reset"
	case res.Waiting:
		v.Title = "Thank you"
	}
	v.Account, v.Waiting = res.Account.String(), res.Waiting
	u := register.URI{JID: res.Account.JID()}
	v.URI = template.URL(u.String())
	v.QR = qrOf(u.String())
	v.Apps = sortClients(h.opt.Clients, r.UserAgent())
	if ask.Grant != nil {
		if i := ask.Grant.Invite(); (i.Befriend || i.Kind == register.ForContact) && !i.Inviter.IsZero() {
			v.Inviter = i.Inviter.String()
		}
	}
	h.render(w, r, http.StatusOK, "done", v)
}
