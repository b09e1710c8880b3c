package negotiate

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// open exchanges the stream headers (RFC 6120 §4.7).
func (r *run) open() error {
	h, err := r.t.ReadHeader(r.ctx)
	if err != nil {
		return err
	}
	peer := bareFrom(h)
	domain, wrong := r.check(h, peer)
	from := domain.String()
	if from == "" {
		from = r.anyDomain()
	}
	if err := r.header(peer, from); err != nil {
		return err
	}
	if wrong != nil {
		return wrong
	}
	r.domain = domain
	r.st.SetDomain(domain.String())
	if !r.n.m.Host().Local(domain.String()) { // just now: whoever ended its streams did not see this one
		return stream.HostGone
	}
	r.st.SetLang(h.Lang)
	r.st.SetFrom(peer)
	return nil
}

// header writes our header. Every stream has an id of its own, also after a
// restart (auth-register ST-2), with 130 random bits.
func (r *run) header(peer mux.Address, from string) error {
	out := Header{From: from, To: peer.String(), ID: rand.Text(), Lang: r.n.opt.Lang, Version: "1.0", Content: mux.NSClient}
	if r.content != "" {
		out.Content, out.Version, out.From = r.content, "", ""
	}
	if err := r.t.WriteHeader(out); err != nil {
		return err
	}
	r.opened = true
	return nil
}

// check judges the header of the peer (core-im ER-1) and finds the domain.
func (r *run) check(h Header, peer mux.Address) (domain mux.Address, err error) {
	if h.Content != "" && h.Content != mux.NSClient {
		return domain, fmt.Errorf("content namespace %.100q: %w", h.Content, stream.InvalidNamespace)
	}
	if domain, err = r.served(h.To); err != nil {
		return domain, err
	}
	if !versionOK(h.Version) {
		return domain, fmt.Errorf("version %.20q: %w", h.Version, stream.UnsupportedVersion)
	}
	// auth-register ST-4. Beyond that from means nothing (ST-5).
	if !peer.IsZero() && peer.Domain() != domain.String() {
		return domain, stream.InvalidFrom
	}
	// An account belongs to its domain: a restart cannot move it.
	if a := r.st.Account(); !a.IsZero() && a.Domain() != domain.String() {
		return domain, fmt.Errorf("header names another domain than before: %w", stream.NotAuthorized)
	}
	return domain, nil
}

// served finds the domain that a header names (core-im LC-3).
func (r *run) served(to string) (mux.Address, error) {
	if to == "" {
		if r.n.opt.Domains != nil {
			if all := r.n.opt.Domains(); len(all) == 1 {
				to = all[0]
			}
		}
		if to == "" {
			return mux.Address{}, fmt.Errorf("no domain named: %w", stream.HostUnknown)
		}
	}
	a, err := mux.ParseAddress(to)
	if err != nil || a.Domain() != a.String() || !r.n.m.Host().Local(a.Domain()) {
		return mux.Address{}, fmt.Errorf("domain %.100q: %w", to, stream.HostUnknown)
	}
	return a, nil
}

// anyDomain is one that is served, for the header before an error (RFC 6120
// §4.9.1.3), empty if none is known.
func (r *run) anyDomain() string {
	if d := r.st.Domain(); d != "" {
		return d
	}
	if r.n.opt.Domains != nil {
		if all := r.n.opt.Domains(); len(all) > 0 {
			return all[0]
		}
	}
	return ""
}

// bareFrom is what from says if that is the bare JID of an account; anything
// else counts as absent (auth-register ST-4), and is zero.
func bareFrom(h Header) mux.Address {
	if h.From == "" {
		return mux.Address{}
	}
	a, err := mux.ParseAddress(h.From)
	if err != nil || !a.IsBare() || a.Local() == "" {
		return mux.Address{}
	}
	return a
}

// versionOK: 1.0 or more (RFC 6120 §4.7.5); absent means 0.9.
func versionOK(v string) bool {
	major, minor, ok := strings.Cut(v, ".")
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(major, 10, 16)
	if err != nil || n < 1 {
		return false
	}
	_, err = strconv.ParseUint(minor, 10, 16)
	return err == nil
}
