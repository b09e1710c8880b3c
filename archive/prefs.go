package archive

import (
	"context"
	"sync"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Default says whether messages with contacts in neither list are archived.
type Default string

// The values (XEP-0441 §2.1.1). The empty value counts as Always.
const (
	Always Default = "always"
	Never  Default = "never"
	Roster Default = "roster" // if the contact is in the roster
)

// Prefs is what an account wants to have archived (XEP-0441). Addresses in the lists
// are full, or bare for any of their resources; of those in both Never counts.
type Prefs struct {
	Default       Default
	Always, Never []mux.Address
}

// maxListed bounds the lists of preferences together.
const maxListed = 1000

// wants decides about one contact (XEP-0441 §2.2.1). ask is what the roster is asked,
// if need be.
func (p *Prefs) wants(peer mux.Address, ask func() bool) bool {
	switch {
	case listed(p.Never, peer):
		return false
	case listed(p.Always, peer):
		return true
	case p.Default == Never:
		return false
	case p.Default == Roster:
		return ask()
	}
	return true
}

func listed(list []mux.Address, peer mux.Address) bool {
	for _, a := range list {
		if matches(a, peer) {
			return true
		}
	}
	return false
}

// wanted reports whether the turn's account wants messages with a contact archived.
// To oneself they always are.
func (x *Extension) wanted(ctx context.Context, e *mux.Event, peer mux.Address) bool {
	if x.opt.Prefs == nil || peer.Bare() == e.Account {
		return true
	}
	p, err := x.loadPrefs(ctx, e.Account)
	if err != nil {
		return true // better too much than lost
	}
	return p.wants(peer, func() bool { return x.opt.InRoster != nil && x.opt.InRoster(ctx, e, peer.Bare()) })
}

// waits reports whether wanted has to wait for a store.
func (x *Extension) waits(e *mux.Event) bool {
	if x.opt.Prefs == nil {
		return false
	}
	p, ok := x.prefs.get(e.Account)
	return !ok || p.Default == Roster && x.opt.Waits(e)
}

// loadPrefs reads preferences, in a turn of the account; it may wait unless they are
// cached.
func (x *Extension) loadPrefs(ctx context.Context, account mux.Address) (*Prefs, error) {
	if p, ok := x.prefs.get(account); ok {
		return p, nil
	}
	p, err := x.opt.Prefs.LoadPrefs(ctx, account)
	if err != nil {
		x.failed(ctx, account, "archiving preferences cannot be read", err)
		return nil, errInternal
	}
	x.prefs.put(account, &p)
	return &p, nil
}

// prefsCache keeps what accounts want, also of those that are not in use: messages
// arrive for them as well. Values are never changed.
type prefsCache struct {
	mu   sync.RWMutex
	m    map[mux.Address]*Prefs
	size int // accounts, and addresses in their lists
}

// maxCached bounds the cache, in accounts and addresses together.
const maxCached = 1 << 14

// cost is what preferences count in the cache.
func (p *Prefs) cost() int { return 1 + len(p.Always) + len(p.Never) }

var allOfIt = new(Prefs) // shared by those who have said nothing

func (c *prefsCache) get(account mux.Address) (*Prefs, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.m[account]
	return p, ok
}

func (c *prefsCache) has(account mux.Address) bool {
	_, ok := c.get(account)
	return ok
}

func (c *prefsCache) put(account mux.Address, p *Prefs) {
	if p.Default == "" && len(p.Always)+len(p.Never) == 0 {
		p = allOfIt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[mux.Address]*Prefs)
	}
	c.drop(account)
	for other := range c.m {
		if c.size+p.cost() <= maxCached {
			break
		}
		c.drop(other)
	}
	c.m[account] = p
	c.size += p.cost()
}

// drop is forget with the lock held.
func (c *prefsCache) drop(account mux.Address) {
	if p := c.m[account]; p != nil {
		c.size -= p.cost()
		delete(c.m, account)
	}
}

func (c *prefsCache) forget(account mux.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(account)
}

// getPrefs answers with the preferences (XEP-0441 §2.1).
func (x *Extension) getPrefs(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if x.opt.Prefs == nil {
		return nil, errNotImplemented
	}
	p, err := x.loadPrefs(ctx, e.Account)
	if err != nil {
		return nil, err
	}
	return p.payload(), nil
}

// setPrefs replaces the preferences, and answers with what counts now.
func (x *Extension) setPrefs(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if x.opt.Prefs == nil {
		return nil, errNotImplemented
	}
	c, _ := e.Stanza.Child(prefsName)
	p, err := parsePrefs(c)
	if err != nil {
		return nil, err
	}
	if p.Default == Roster && x.opt.InRoster == nil {
		return nil, errNotImplemented
	}
	e.Work.Write(x.opt.Prefs.SetPrefs(e.Account, p))
	x.prefs.put(e.Account, &p)
	return p.payload(), nil
}

type prefsXML struct {
	Default string   `xml:"default,attr"`
	Always  []string `xml:"urn:xmpp:mam:2 always>jid"`
	Never   []string `xml:"urn:xmpp:mam:2 never>jid"`
}

// parsePrefs reads preferences. The error is a stanza error.
func parsePrefs(c mux.Child) (p Prefs, err error) {
	var q prefsXML
	if err := c.Decode(&q); err != nil {
		return p, errBadRequest
	}
	switch p.Default = Default(q.Default); p.Default {
	case Always, Never, Roster:
	default:
		return Prefs{}, errBadRequest
	}
	if len(q.Always)+len(q.Never) > maxListed {
		return Prefs{}, errTooMuch
	}
	if p.Always, err = addresses(q.Always); err != nil {
		return Prefs{}, err
	}
	if p.Never, err = addresses(q.Never); err != nil {
		return Prefs{}, err
	}
	return p, nil
}

// addresses reads a list of addresses, each once.
func addresses(texts []string) (list []mux.Address, err error) {
	seen := make(map[mux.Address]bool, len(texts))
	for _, text := range texts {
		a, err := mux.ParseAddress(text)
		if err != nil {
			return nil, errMalformed
		}
		if !seen[a] {
			seen[a] = true
			list = append(list, a)
		}
	}
	return list, nil
}

// payload is the element with the preferences.
func (p *Prefs) payload() xmlstream.Marshaler {
	d := p.Default
	if d == "" {
		d = Always
	}
	b := []byte("<prefs xmlns='" + NS + "' default='")
	b = append(xmlwrite.AppendAttrValue(b, string(d)), "'>"...)
	b = appendAddresses(b, "always", p.Always)
	b = appendAddresses(b, "never", p.Never)
	return mux.Raw(append(b, "</prefs>"...))
}

// appendAddresses writes a list, which is there also when it is empty (XEP-0441 §2.1).
func appendAddresses(b []byte, name string, list []mux.Address) []byte {
	b = append(append(append(b, '<'), name...), '>')
	for _, a := range list {
		b = append(b, "<jid>"...)
		b = xmlwrite.AppendText(b, a.String())
		b = append(b, "</jid>"...)
	}
	return append(append(append(b, "</"...), name...), '>')
}
