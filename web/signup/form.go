package signup

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"
)

// Bounds of forms, in octets.
const (
	maxBody     = 16 << 10
	maxName     = 1023 // a localpart
	maxPassword = 1024
	maxToken    = 128
	maxReason   = 2000
)

// formLifetime is how long a form can be sent.
const formLifetime = 2 * time.Hour

// form takes what a form has sent: only from pages of this server, only by a connection
// that nobody else reads, and not too much of it.
func (h *Handler) form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := h.peer(r)
		switch {
		case h.origins.Check(r) != nil && !untold(r):
			h.problem(w, r, foreign)
			return
		case !p.source.IsValid():
			h.problem(w, r, unknownSource)
			return
		case !p.secure && !p.local:
			h.problem(w, r, insecure)
			return
		}
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
			h.problem(w, r, badForm)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				h.problem(w, r, largeForm)
				return
			}
			h.problem(w, r, badForm)
			return
		}
		for name, values := range r.PostForm {
			if len(values) != 1 || len(values[0]) > bound(name) || !utf8.ValidString(values[0]) {
				h.problem(w, r, badForm)
				return
			}
		}
		next(w, r)
	}
}

// untold reports whether a browser does not say where a form is from: an older one, which
// knows no Sec-Fetch-Site and hides the origin because pages tell no referrer. The value
// in the form and the cookie are left to tell then (see genuine).
func untold(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null"
}

// bound is how long a field may be.
func bound(name string) int {
	switch name {
	case "username", "domain":
		return maxName
	case "password", "again":
		return maxPassword
	case "token":
		return maxToken
	case "reason":
		return maxReason
	}
	return maxPassword
}

// formKey makes the values that stand in forms and belong to a cookie of the browser, so
// that nobody else can make one that this browser would send.
type formKey [32]byte

// cookieName is that of the cookie; with the prefix browsers let no other site set it.
func cookieName(p peer) string {
	if p.secure {
		return "__Host-signup"
	}
	return "signup"
}

// browser returns the value of the cookie, which is set if it is missing.
func browser(w http.ResponseWriter, r *http.Request, p peer) string {
	if c, err := r.Cookie(cookieName(p)); err == nil && len(c.Value) >= 26 && len(c.Value) <= 64 {
		return c.Value
	}
	// Lax, so that a second link from elsewhere does not void the form of the first.
	c := &http.Cookie{Name: cookieName(p), Value: rand.Text(), Path: "/", Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	http.SetCookie(w, c)
	return c.Value
}

// make returns the value for a form about something.
func (k *formKey) make(cookie, about string, at time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, k.sum(b, cookie, about)...))
}

func (k *formKey) sum(at []byte, cookie, about string) []byte {
	m := hmac.New(sha256.New, k[:])
	_, _ = m.Write(at) // never fails
	for _, s := range []string{cookie, about} {
		h := sha256.Sum256([]byte(s)) // so that each has its length
		_, _ = m.Write(h[:])
	}
	return m.Sum(nil)
}

// check reports whether a value is one for such a form, and not too old.
func (k *formKey) check(value, cookie, about string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(b) != 8+sha256.Size || cookie == "" {
		return false
	}
	age := now.Unix() - int64(binary.BigEndian.Uint64(b[:8]))
	return hmac.Equal(b[8:], k.sum(b[:8], cookie, about)) && age >= 0 && age <= int64(formLifetime/time.Second)
}

// about is what a form is for: an invitation, or to register.
func about(token string) string {
	if token == "" {
		return "register"
	}
	return "invite " + token
}

// genuine reports whether the form came from a page that this browser got from here.
func (h *Handler) genuine(r *http.Request, p peer) bool {
	c, err := r.Cookie(cookieName(p))
	return err == nil && h.forms.check(r.PostForm.Get("form"), c.Value, about(r.PostForm.Get("token")), time.Now())
}
