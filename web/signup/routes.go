package signup

import (
	"net/http"
	"strings"
)

// policy is what pages may load: what this server gives them, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// route says what is where.
func (h *Handler) route() {
	m := http.NewServeMux()
	get := func(path string, f http.HandlerFunc) {
		m.HandleFunc("GET "+h.prefix+path, f)
		m.HandleFunc(h.prefix+path, h.method(http.MethodGet, http.MethodHead))
	}
	get("/{$}", h.front)
	if h.prefix != "" {
		m.HandleFunc("GET "+h.prefix, h.moved("/"))
	}
	get("/invite/{token}", h.link)
	get("/register", h.registration)
	get("/signup/{asset}", h.asset)
	m.HandleFunc("GET "+h.prefix+"/invite/{$}", h.entry)
	m.HandleFunc("POST "+h.prefix+"/invite/{$}", h.form(h.shown))
	m.HandleFunc(h.prefix+"/invite/{$}", h.method(http.MethodGet, http.MethodHead, http.MethodPost))
	m.HandleFunc("POST "+h.prefix+"/account", h.form(h.account))
	m.HandleFunc("GET "+h.prefix+"/account", func(w http.ResponseWriter, r *http.Request) { h.problem(w, r, gone) })
	m.HandleFunc(h.prefix+"/account", h.method(http.MethodGet, http.MethodHead, http.MethodPost))
	m.HandleFunc("GET "+h.prefix+"/invite", h.moved("/invite/"))
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { h.problem(w, r, notFound) })
	h.routes = m
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	head.Set("X-Robots-Tag", "noindex, nofollow")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if h.peer(r).secure {
		head.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.routes.ServeHTTP(w, r)
}

// method refuses all methods but these.
func (h *Handler) method(allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		h.problem(w, r, wrongMethod)
	}
}

// moved leads to another page.
func (h *Handler) moved(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, h.prefix+path, http.StatusSeeOther)
	}
}
