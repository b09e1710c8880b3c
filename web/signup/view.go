package signup

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
)

//go:embed templates assets
var files embed.FS

// asset is a file that pages load. Its address has its hash, so that it can be kept.
type asset struct {
	kind    string
	content []byte
	name    string // in addresses
}

// kinds are the media types of assets.
var kinds = map[string]string{".svg": "image/svg+xml", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// load reads what is built in. That it is sound is tested, so nothing here fails.
func (h *Handler) load() {
	h.assets = make(map[string]asset)
	names, _ := fs.Glob(files, "assets/*")
	for _, name := range names {
		content, _ := files.ReadFile(name)
		sum := sha256.Sum256(content)
		ext := path.Ext(name)
		base := strings.TrimSuffix(path.Base(name), ext)
		h.assets[path.Base(name)] = asset{kinds[ext], content, base + "-" + hex.EncodeToString(sum[:8]) + ext}
	}
	h.pages = make(map[string]*template.Template)
	for _, name := range []string{"front", "entry", "invite", "register", "done", "problem"} {
		h.pages[name] = template.Must(template.ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
	}
}

// asset serves a file. One with another hash is of another version of the server.
func (h *Handler) asset(w http.ResponseWriter, r *http.Request) {
	for _, a := range h.assets {
		if a.name == r.PathValue("asset") {
			w.Header().Set("Content-Type", a.kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(a.content) // who asked may be gone
			return
		}
	}
	h.problem(w, r, notFound)
}

// view is what templates know; each uses what it needs.
type view struct {
	Title, Domain               string // Domain is what the page is about
	Prefix                      string // of all addresses
	Slim                        bool   // one column
	Icon, Style, Script, Worker string // files

	// The page at the top.
	Invited  bool // accounts are for those who are
	Contacts []contact

	// An invitation.
	Kind     string // account, contact or reset
	Token    string
	Inviter  string // empty if it is not for guests to know
	Contact  bool   // the inviter will be a contact
	Expires  string
	URI      template.URL
	QR       *code
	Register bool // there is a form
	Apps     apps

	// The form.
	Form        string // see formKey
	Username    string
	Fixed       bool // that name and no other
	Reason      string
	Error       string // what was wrong with the last try
	Field       string // where
	Approval    bool
	Task        *task
	MinPassword int
	Others      []string // domains

	// The end.
	Account string
	Waiting bool

	Text           string // of a problem
	Link, LinkText string // where it is better
}

// view begins a page.
func (h *Handler) view(title, domain string) *view {
	file := func(name string) string { return h.prefix + "/signup/" + h.assets[name].name }
	return &view{Title: title, Domain: domain, Prefix: h.prefix, MinPassword: h.opt.MinPassword,
		Icon: file("icon.svg"), Style: file("style.css"), Script: file("page.js"), Worker: file("work.js")}
}

// render writes a page.
func (h *Handler) render(w http.ResponseWriter, r *http.Request, status int, name string, v *view) {
	v.Slim = name != "invite" || v.Kind == register.ForReset.String()
	var b bytes.Buffer
	if err := h.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		h.opt.Logger.LogAttrs(r.Context(), slog.LevelError, "page not made", slog.String("page", name), slog.Any("err", err))
		http.Error(w, "internal server error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}

// home is the domain that a page is about which says nothing of one: that of the
// address it was asked for by, or the first.
func (h *Handler) home(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	all := h.domains()
	// Prepared, since browsers write the names of hosts in ASCII.
	if a, err := mux.ParseAddress(host); err == nil && slices.Contains(all, a.String()) {
		return a.String()
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// closed reports whether nobody makes accounts.
func (h *Handler) closed() bool { return h.people.Policy() == register.Closed }
