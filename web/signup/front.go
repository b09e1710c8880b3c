package signup

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/register"
)

// Contact is a way to reach those who run the server (XEP-0157).
type Contact struct {
	Kind string // one of those of XEP-0157, such as abuse, admin or support
	URI  string // such as mailto:abuse@example.org
}

// contact is one as the page shows it.
type contact struct {
	Kind, Text string
	URL        template.URL // empty for what no browser should be sent to
}

// contactKinds are the kinds in everyday words.
var contactKinds = map[string]string{"abuse": "Abuse", "admin": "Administrators", "feedback": "Feedback", "sales": "Sales",
	"security": "Security", "status": "Status", "support": "Help"}

// contacts are those that are configured.
func (h *Handler) contacts() []contact {
	var all []contact
	for _, c := range h.opt.Contacts {
		kind, ok := contactKinds[c.Kind]
		if !ok {
			kind = c.Kind
		}
		shown := contact{Kind: kind, Text: c.URI}
		scheme, rest, _ := strings.Cut(c.URI, ":")
		switch strings.ToLower(scheme) {
		case "mailto", "xmpp", "tel":
			// People know these without a scheme, and not percent-encoded.
			shown.Text, _, _ = strings.Cut(rest, "?")
			if text, err := url.PathUnescape(shown.Text); err == nil {
				shown.Text = printable(text)
			}
			shown.URL = template.URL(c.URI) // html/template does not know xmpp
		case "http", "https":
			shown.URL = template.URL(c.URI)
		}
		all = append(all, shown)
	}
	return all
}

// front is the page at the top: what this server is, and how to get an account.
func (h *Handler) front(w http.ResponseWriter, r *http.Request) {
	domain := h.home(r)
	v := h.view("Chat", domain)
	v.Others = slices.DeleteFunc(slices.Clone(h.domains()), func(d string) bool { return d == domain })
	switch h.people.Policy() {
	case register.Open:
		v.Register = true
	case register.ByApproval:
		v.Register, v.Approval = true, true
	case register.ByInvite:
		v.Invited = true
	}
	v.Apps = sortClients(h.opt.Clients, r.UserAgent())
	v.Contacts = h.contacts()
	h.render(w, r, http.StatusOK, "front", v)
}
