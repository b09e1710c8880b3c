package signup

import (
	"context"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/propolis-im/propolis/register"
)

// entry is the page of a link with the token in the fragment, which only the browser
// knows. A script passes it on; without one people can type it.
func (h *Handler) entry(w http.ResponseWriter, r *http.Request) {
	h.render(w, r, http.StatusOK, "entry", h.view("Your invitation", h.home(r)))
}

// shown is the landing page for a token that was sent by the page entry.
func (h *Handler) shown(w http.ResponseWriter, r *http.Request) {
	h.invitation(w, r, tokenOf(r.PostForm.Get("code")))
}

// link is the landing page for a token in the address. Nobody but somebody who goes there
// gets it: with pictures and the like on some page its visitors would try wrong tokens, all
// of which count for their network.
func (h *Handler) link(w http.ResponseWriter, r *http.Request) {
	if d := r.Header.Get("Sec-Fetch-Dest"); d != "" && d != "document" {
		h.problem(w, r, foreign)
		return
	}
	h.invitation(w, r, r.PathValue("token"))
}

// tokenOf finds the token in what somebody has typed or pasted: the token, or a link
// with it.
func tokenOf(text string) string {
	text = strings.TrimSpace(text)
	if u, err := register.ParseURI(text); err == nil {
		return u.Params["preauth"]
	}
	if i := strings.LastIndexAny(text, "#/"); i >= 0 {
		return text[i+1:]
	}
	return text
}

// invitation is the landing page (XEP-0401 §5.2).
func (h *Handler) invitation(w http.ResponseWriter, r *http.Request, token string) {
	p := h.peer(r)
	if t := unsafe(p); t != nil {
		h.problem(w, r, t)
		return
	}
	g, err := h.look(r.Context(), p.source, token)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	v, err := h.invited(w, r, p, g, token)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "invite", v)
}

// look looks at an invitation. One to a domain that is not served any more is as good as
// none.
func (h *Handler) look(ctx context.Context, source netip.Addr, token string) (*register.Grant, error) {
	g, err := h.people.Show(ctx, source, token)
	if err == nil && !slices.Contains(h.domains(), g.Invite().Domain) {
		return nil, register.ErrToken
	}
	return g, err
}

// unsafe is why no form can be shown.
func unsafe(p peer) *trouble {
	switch {
	case !p.source.IsValid():
		return unknownSource
	case !p.secure && !p.local:
		return insecure
	}
	return nil
}

// invited is what a page knows of an invitation.
func (h *Handler) invited(w http.ResponseWriter, r *http.Request, p peer, g *register.Grant, token string) (*view, error) {
	i := g.Invite()
	u, err := i.URI(token)
	if err != nil {
		return nil, err
	}
	title := "You are invited to chat"
	if g.Reset() {
		title = "Choose a new password"
	}
	v := h.view(title, i.Domain)
	v.Kind, v.Token, v.Expires = i.Kind.String(), token, i.Expires.UTC().Format("2 January 2006, 15:04 UTC")
	v.Register = g.Reset() || i.Registers() && !h.closed()
	v.Username, v.Fixed = i.Name, i.Name != ""
	// Who invites to his contact list stands in the link; others are named if guest and
	// inviter will be contacts anyway (auth-register WB-2).
	if v.Contact = i.Kind == register.ForContact || i.Befriend; v.Contact && !i.Inviter.IsZero() {
		v.Inviter = i.Inviter.String()
		v.Title = v.Inviter + " invites you to chat"
	}
	v.URI = template.URL(u.String()) // made by us, so of a scheme that html/template does not know
	v.QR = qrOf(u.String())
	v.Apps = sortClients(h.opt.Clients, r.UserAgent())
	v.Form = h.forms.make(browser(w, r, p), about(token), time.Now())
	return v, nil
}
