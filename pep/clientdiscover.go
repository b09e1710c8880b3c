package pep

import (
	"context"
	"errors"
	"slices"

	"mellium.im/xmpp/jid"
)

// Support is what a server can do for an account.
type Support struct {
	// Account says that the account itself answers, Domain that the domain was asked
	// too, since the account left something open.
	Account, Domain bool
	// PEP: there is personal eventing at all (XEP-0163 §6).
	PEP bool
	// PublishOptions: conditions are kept, without which nothing private may be published
	// (XEP-0223 §7).
	PublishOptions bool
	// PersistentItems and MultiItems: items are kept, more than one in a node.
	PersistentItems, MultiItems bool
	// ConfigNodeMax: max_items may be max.
	ConfigNodeMax bool
	// RSM: items come in pages.
	RSM bool
	// AvatarConversion: avatars are the same in the vCard (XEP-0398).
	AvatarConversion bool
	// BookmarksCompat, BookmarksCompatPEP and BookmarksConversion: bookmarks of XEP-0402
	// are those in private XML and in XEP-0048's node (XEP-0402 §5.3, XEP-0411).
	BookmarksCompat, BookmarksCompatPEP, BookmarksConversion bool
	// DisplayedAssist: the server publishes what was displayed (XEP-0490 §4.5).
	DisplayedAssist bool
	// Features are all, which must not be changed.
	Features []string
}

// Has reports whether a feature is announced.
func (s *Support) Has(feature string) bool { return slices.Contains(s.Features, feature) }

func (s *Support) add(x *infoXML) {
	for _, i := range x.Identities {
		s.PEP = s.PEP || i.Category == "pubsub" && i.Type == "pep"
	}
	for _, f := range x.Features {
		if !s.Has(f.Var) {
			s.Features = append(s.Features, f.Var)
		}
	}
	for name, flag := range map[string]*bool{
		nsPrefix + "publish-options":      &s.PublishOptions,
		nsPrefix + "persistent-items":     &s.PersistentItems,
		nsPrefix + "multi-items":          &s.MultiItems,
		nsPrefix + "config-node-max":      &s.ConfigNodeMax,
		nsPrefix + "rsm":                  &s.RSM,
		"urn:xmpp:pep-vcard-conversion:0": &s.AvatarConversion,
		"urn:xmpp:bookmarks:1#compat":     &s.BookmarksCompat,
		"urn:xmpp:bookmarks:1#compat-pep": &s.BookmarksCompatPEP,
		"urn:xmpp:bookmarks-conversion:0": &s.BookmarksConversion,
		"urn:xmpp:mds:server-assist:0":    &s.DisplayedAssist,
	} {
		*flag = s.Has(name)
	}
}

// Discover asks the server what it can do, once for each session: at the own account and,
// if that does not tell of personal eventing with publish-options, at the domain too
// (XEP-0163 §6, XEP-0222 §5, XEP-0223 §5). An answer that it cannot tell now is an error and
// is not kept: it says nothing of what there is.
func (c *Client) Discover(ctx context.Context) (Support, error) {
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return Support{}, ctx.Err()
	}
	defer func() { <-c.asking }()
	c.mu.Lock()
	session, known := c.s, c.support
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	var s Support
	own := session.LocalAddr().Bare()
	x, err := c.info(ctx, own, "")
	var refused *Error
	switch {
	case err == nil:
		s.Account = true
		s.add(x)
	case !errors.As(err, &refused) || refused.passing():
		return Support{}, err
	}
	if !s.PEP || !s.PublishOptions {
		d, domainErr := c.info(ctx, own.Domain(), "")
		switch {
		case domainErr == nil:
			s.Domain = true
			s.add(d)
		case err != nil || !errors.As(domainErr, &refused) || refused.passing():
			return Support{}, domainErr
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s == session {
		c.support = &s
	}
	return s, nil
}

// info asks for disco#info (XEP-0030 §3).
func (c *Client) info(ctx context.Context, to jid.JID, node string) (*infoXML, error) {
	a, err := c.get(ctx, to, append(element(nil, "query", "xmlns", nsInfo, "node", node), "</query>"...))
	if err != nil {
		return nil, err
	}
	if a.Info == nil {
		return nil, ErrAnswer
	}
	return a.Info, nil
}

const (
	nsInfo   = "http://jabber.org/protocol/disco#info"
	nsListed = "http://jabber.org/protocol/disco#items"
)

// Listing is a node of an account as it is listed.
type Listing struct{ Node, Name string }

// Nodes lists the nodes of an account that the own one may see, the zero JID being the
// own one (XEP-0163 §6.2).
func (c *Client) Nodes(ctx context.Context, of jid.JID) ([]Listing, error) {
	if c.isOwn(of) {
		of = c.own()
	}
	a, err := c.get(ctx, of, append(element(nil, "query", "xmlns", nsListed), "</query>"...))
	if err != nil {
		return nil, err
	}
	if a.Listed == nil {
		return nil, ErrAnswer
	}
	var list []Listing
	for _, i := range a.Listed.List {
		if j, err := jid.Parse(i.JID); err == nil && j.Equal(of) && i.Node != "" {
			list = append(list, Listing{Node: i.Node, Name: i.Name})
		}
	}
	return list, nil
}

// NodeInfo is what is told of a node.
type NodeInfo struct {
	// Type is leaf, or what else it is; Name is its title.
	Type, Name string
	// Fields are its metadata (XEP-0060 §5.4).
	Fields Fields
}

// NodeInfo asks about a node (XEP-0060 §5.3, §5.4).
func (c *Client) NodeInfo(ctx context.Context, of jid.JID, node string) (NodeInfo, error) {
	if c.isOwn(of) {
		of = c.own()
	}
	x, err := c.info(ctx, of, node)
	if err != nil {
		return NodeInfo{}, err
	}
	n := NodeInfo{Fields: make(Fields)}
	for _, i := range x.Identities {
		if i.Category == "pubsub" {
			n.Type, n.Name = i.Type, i.Name
		}
	}
	for i := range x.Forms {
		for name, v := range x.Forms[i].fields() {
			n.Fields[name] = v
		}
	}
	return n, nil
}
