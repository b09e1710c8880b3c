package avatar

import (
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

var (
	updateName = xml.Name{Space: NSUpdate, Local: "x"}
	photoName  = xml.Name{Space: NSUpdate, Local: "photo"}
)

// photo is what is known of an account's avatar: its hash, empty for none, or nothing.
type photo struct {
	known bool
	hash  string
}

// child is what presence says of it (XEP-0153 §3.1).
func (p photo) child() mux.Child {
	if p.hash == "" {
		return mux.RawChild(updateName, "<x xmlns='"+NSUpdate+"'><photo/></x>")
	}
	return mux.RawChild(updateName, "<x xmlns='"+NSUpdate+"'><photo>"+p.hash+"</photo></x>")
}

// manner is how presence came to say what it says of an avatar.
type manner byte

const (
	left  manner = iota // nothing was added
	ours                // it was added here
	empty               // the client itself shows none
)

// add is available presence with what is known of the avatar, as XEP-0398 §4 says.
func (p photo) add(s *mux.Stanza) (*mux.Stanza, manner) {
	x, there := s.Child(updateName)
	if there {
		said, ok := saidIn(x)
		switch {
		case ok && said == "":
			return s, empty
		case !p.known, ok && said == p.hash:
			return s, left
		}
		s = without(s)
	}
	if !p.known {
		return s, left
	}
	return s.With(p.child()), ours
}

// saidIn is the hash that a client gives; ok is false for a client that is not ready to
// say anything (XEP-0153 §4.1).
func saidIn(x mux.Child) (hash string, ok bool) {
	el, err := x.Element()
	if err != nil {
		return "", false
	}
	c, ok := el.Child(photoName)
	if !ok {
		return "", false
	}
	if hash = strings.TrimSpace(c.Text()); hash == "" {
		if inner, err := c.Element(); err != nil || len(inner.Children()) > 0 {
			return "?", true // not empty, and no hash
		}
	}
	return hash, true
}

func without(s *mux.Stanza) *mux.Stanza {
	return s.Without(func(c mux.Child) bool { return c.Name == updateName })
}
