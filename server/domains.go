package server

import (
	"fmt"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// domains are those served. They are replaced, never changed.
type domains struct {
	has  map[string]bool
	list []string // the same, in the order given
}

func newDomains(names []string) (*domains, error) {
	d := &domains{has: make(map[string]bool)}
	for _, name := range names {
		a, err := mux.ParseAddress(name)
		if err != nil || a.Domain() != a.String() {
			return nil, fmt.Errorf("server: %q is no domain", name)
		}
		if name = a.Domain(); !d.has[name] {
			d.list = append(d.list, name)
		}
		d.has[name] = true
	}
	if len(d.list) == 0 {
		return nil, fmt.Errorf("server: no domain to serve")
	}
	return d, nil
}

// Domains are the domains served, prepared, in the order given.
func (s *Server) Domains() []string {
	return append([]string(nil), s.host.served.Load().list...)
}

// SetDomains serves these domains from now on (core-im GS-4); they are as in
// [Options]. Streams of those that stay go on. Those of domains that are no longer
// among them end with host-gone, as do the sessions that could have been resumed;
// accounts and what they have stay where they are, for the domain's return. On error
// nothing has changed.
func (s *Server) SetDomains(names []string) error {
	now, err := newDomains(names)
	if err != nil {
		return err
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	was := s.host.served.Swap(now)
	s.log.Info("domains", "served", strings.Join(now.list, " "))
	for _, name := range was.list {
		if !now.has[name] {
			s.mux.EndDomain(name)
		}
	}
	return nil
}
