package archive

import (
	"context"
	"errors"

	"github.com/propolis-im/propolis/mux"
)

// Messages reads messages of an account by their IDs, as they were delivered: with
// the archive's name of them. Those that are not there any more are left out. It
// waits for the store, so it must not be called in a turn that may not. It is for
// extensions that keep only the names of what is archived.
func (x *Extension) Messages(ctx context.Context, account mux.Address, ids []string) (map[string]mux.Item, error) {
	p, err := x.store.Page(ctx, account, Query{IDs: ids, Max: len(ids)})
	if errors.Is(err, ErrNotFound) {
		p, err = x.those(ctx, account, ids)
	}
	if err != nil {
		return nil, err
	}
	items := make(map[string]mux.Item, len(p.Entries))
	for _, e := range p.Entries {
		s, err := mux.Parse(e.Stanza)
		if err != nil {
			x.failed(ctx, account, "archived message cannot be read", err)
			continue
		}
		items[e.ID] = mux.Item{Stanza: s.With(stanzaID(account, e.ID)), At: e.At}
	}
	return items, nil
}

// those reads what there is of several messages.
func (x *Extension) those(ctx context.Context, account mux.Address, ids []string) (all Page, err error) {
	for _, id := range ids {
		p, err := x.store.Page(ctx, account, Query{IDs: []string{id}, Max: 1})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Page{}, err
		}
		all.Entries = append(all.Entries, p.Entries...)
	}
	return all, nil
}
