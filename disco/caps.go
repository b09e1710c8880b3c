package disco

import (
	"context"
	"crypto/sha1" // XEP-0115 §5.1 names no other; nothing secret depends on it
	"encoding/base64"
	"slices"
	"strings"
	"sync"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// caps are the capabilities of a served domain.
type caps struct {
	ver  string
	node string  // node#ver, which clients ask about
	info mux.Raw // the answer to that
}

// capsCache holds the capabilities of each served domain; there are as many as
// domains, which peers cannot make.
type capsCache struct {
	mu sync.Mutex
	m  map[mux.Address]*caps
}

func (c *capsCache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m = nil
}

// of returns the capabilities of a domain, which are worked out once: what is
// registered does not change as long as a mux lives.
func (c *capsCache) of(ctx context.Context, m *mux.Mux, domain mux.Address, node string) (*caps, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.m[domain]; have != nil {
		return have, nil
	}
	q := &mux.DiscoQuery{Scope: mux.AtHost, Address: domain}
	if err := m.Disco(ctx, q); err != nil {
		return nil, err
	}
	i, err := collect(q)
	if err != nil {
		return nil, err
	}
	made := &caps{ver: i.hash()}
	made.node = node + "#" + made.ver
	made.info = i.write(made.node)
	if c.m == nil {
		c.m = make(map[mux.Address]*caps)
	}
	c.m[domain] = made
	return made, nil
}

// feature is the element in stream features (XEP-0115 §6.3).
func (x *Extension) feature(ctx context.Context, st *mux.Stream) xmlstream.Marshaler {
	if st.Role() != mux.Client || st.Domain() == "" {
		return nil
	}
	domain, err := mux.ParseAddress(st.Domain())
	if err != nil {
		return nil
	}
	c, err := x.caps.of(ctx, st.Mux(), domain, x.opt.Node)
	if err != nil {
		return nil // a stream without it works as well; requests tell what is wrong
	}
	b := []byte("<c xmlns='" + NSCaps + "' hash='sha-1'")
	b = appendAttr(b, "node", x.opt.Node)
	b = appendAttr(b, "ver", c.ver)
	return mux.Raw(append(b, "/>"...))
}

// hash is the verification string (XEP-0115 §5.1). Go compares strings octet by
// octet, as i;octet does.
func (i *info) hash() string {
	var s strings.Builder
	for _, id := range i.identities {
		s.WriteString(id.Category + "/" + id.Type + "/" + id.Lang + "/" + id.Name + "<")
	}
	for _, f := range i.features {
		s.WriteString(f + "<")
	}
	for _, f := range i.forms {
		if f.typ == "" {
			continue // XEP-0115 §5.4: a form without FORM_TYPE is left out
		}
		s.WriteString(f.typ + "<")
		fields := slices.Clone(f.fields)
		slices.SortStableFunc(fields, func(a, b formField) int { return strings.Compare(a.Var, b.Var) })
		for _, field := range fields {
			s.WriteString(field.Var + "<")
			values := slices.Clone(field.Values)
			slices.Sort(values)
			for _, v := range values {
				s.WriteString(v + "<")
			}
		}
	}
	sum := sha1.Sum([]byte(s.String()))
	return base64.StdEncoding.EncodeToString(sum[:])
}
