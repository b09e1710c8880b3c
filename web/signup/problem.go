package signup

import (
	"errors"
	"log/slog"
	"net/http"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

// trouble is a page that tells why something is not to be had.
type trouble struct {
	status      int
	title, text string
}

// The troubles. Whatever is wrong with an invitation, its text is the same (auth-register
// IV-6).
var (
	badToken = &trouble{http.StatusNotFound, "This invitation cannot be used",
		"It may have expired, been used already or been taken back, or the link is not complete. Please ask whoever sent it to you for a new one."}
	tooMany = &trouble{http.StatusTooManyRequests, "Please try again later",
		"There were too many tries from your network. Wait an hour or so, then open this page again."}
	noRegistration = &trouble{http.StatusForbidden, "No new accounts",
		"This server does not take new accounts."}
	needsInvite = &trouble{http.StatusForbidden, "You need an invitation",
		"New accounts are made here by invitation. Ask somebody who has an account, or the people who run this server, for a link."}
	busy = &trouble{http.StatusServiceUnavailable, "Please try again in a moment",
		"The server has too much to do just now. Nothing was changed."}
	queueFull = &trouble{http.StatusServiceUnavailable, "Please try again later",
		"Too many people wait for an account at the moment. Nothing was changed."}
	internal = &trouble{http.StatusInternalServerError, "Something went wrong",
		"That is the server's fault, not yours. Please try again later."}
	notFound = &trouble{http.StatusNotFound, "There is no such page",
		"Please check the address."}
	// gone is for those who open the page after a form again, such as phones that have
	// forgotten it.
	gone = &trouble{http.StatusNotFound, "This page cannot be shown again",
		"If it said that your account is ready, log in with it in an app. If not, please open your link again."}
	wrongMethod = &trouble{http.StatusMethodNotAllowed, "That is not possible here",
		"Please go back and try again."}
	foreign = &trouble{http.StatusForbidden, "This was sent from another site",
		"For your safety nothing was done. Open the page itself and fill in the form there."}
	unknownSource = &trouble{http.StatusForbidden, "This is not possible from here",
		"The server cannot tell where you connect from. Please tell the people who run it."}
	insecure = &trouble{http.StatusForbidden, "This connection is not secure",
		"Forms with passwords are taken over https only."}
	badForm = &trouble{http.StatusBadRequest, "The form could not be read",
		"Please go back and try again."}
	largeForm = &trouble{http.StatusRequestEntityTooLarge, "That is too much",
		"Please go back and write less."}
)

// problem shows one.
func (h *Handler) problem(w http.ResponseWriter, r *http.Request, t *trouble) {
	v := h.view(t.title, h.home(r))
	v.Text = t.text
	switch t {
	case tooMany:
		w.Header().Set("Retry-After", "3600")
	case busy:
		w.Header().Set("Retry-After", "10")
	case gone:
		if p := h.people.Policy(); p == register.Open || p == register.ByApproval {
			v.Link, v.LinkText = h.prefix+"/register", "Create an account"
		}
	case insecure:
		if h.base != nil && h.base.Scheme == "https" {
			v.LinkText = "Open it over https"
			v.Link = "https://" + h.base.Host + h.prefix + "/invite/"
		}
	}
	h.render(w, r, t.status, "problem", v)
}

// complaint is what is said beside a field of a form, which can be sent again.
type complaint struct {
	err    error
	status int
	field  string
	text   string
}

// complaints are about what people have typed (XEP-0077 §3.1).
var complaints = []complaint{
	{register.ErrIncomplete, http.StatusUnprocessableEntity, "username", "Please choose a name and a password."},
	{register.ErrName, http.StatusUnprocessableEntity, "username", "This name is not possible. Letters, digits, dots and dashes always are."},
	{register.ErrTaken, http.StatusConflict, "username", "This name is taken. Please choose another one."},
	{register.ErrPassword, http.StatusUnprocessableEntity, "password", "This password is too weak, too long, or has characters that are not possible. Please choose another one."},
	{register.ErrChallenge, http.StatusUnprocessableEntity, "challenge", "The question was not answered rightly, or the form was too old. Here is a new one."},
}

// idle is said in place of the complaint about a challenge that asks people nothing.
const idle = "Your browser has not done its work against robots, or the form was too old. Please send it again."

// troubles are about everything else.
var troubles = []struct {
	err  error
	page *trouble
}{
	{register.ErrToken, badToken}, {register.ErrInviteGone, badToken}, {register.ErrNoAccount, badToken}, {register.ErrOtherName, badForm},
	{register.ErrClosed, noRegistration}, {register.ErrUninvited, needsInvite}, {register.ErrLimited, tooMany},
	{register.ErrBusy, busy}, {register.ErrQueueFull, queueFull}, {errFull, busy},
}

// fail shows the page for an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	for _, t := range troubles {
		if errors.Is(err, t.err) {
			h.problem(w, r, t.page)
			return
		}
	}
	if text, ok := veto(err); ok {
		if text == "" {
			text = "The people who run this server have decided so."
		}
		h.problem(w, r, &trouble{http.StatusForbidden, "This account cannot be made", text})
		return
	}
	h.opt.Logger.LogAttrs(r.Context(), slog.LevelError, "registration failed", slog.Any("err", err))
	h.problem(w, r, internal)
}

// veto is what register.Options.Before has said.
func veto(err error) (text string, ok bool) {
	var full *mux.Error
	var se stanza.Error
	switch {
	case errors.As(err, &full):
		se = full.Stanza
	case !errors.As(err, &se):
		return "", false
	}
	if text = se.Text["en"]; text == "" {
		text = se.Text[""]
	}
	return text, true
}
