package archive

import (
	"context"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// metadata tells what is in the archive (XEP-0313 §5).
func (x *Extension) metadata(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	x.reads(e)
	account, upTo := e.Account, new(int64)
	x.mark(e, upTo)
	e.Later().Run(func(ctx context.Context) (xmlstream.Marshaler, error) {
		first, last, err := x.ends(ctx, account, *upTo)
		if err != nil {
			x.failed(ctx, account, "archive cannot be read", err)
			return nil, errInternal
		}
		return metadata(first, last), nil
	})
	return nil, nil
}

// ends reads the oldest and the newest message, zero if there are none.
func (x *Extension) ends(ctx context.Context, account mux.Address, upTo int64) (first, last stamp, err error) {
	for _, end := range []struct {
		backward bool
		to       *stamp
	}{{false, &first}, {true, &last}} {
		p, err := x.store.Page(ctx, account, Query{Backward: end.backward, Max: 1, UpTo: upTo})
		if err != nil {
			return stamp{}, stamp{}, err
		}
		if len(p.Entries) > 0 {
			*end.to = stamp{p.Entries[0].ID, p.Entries[0].At}
		}
	}
	return first, last, nil
}

// bound marks a session that has bound by Bind 2, and tells its client what is in the
// archive up to this very turn: what comes later it gets (XEP-0386 §3.2).
func (x *Extension) bound(ctx context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
	x.readers.Of(e.Session).Store(true)
	e.Event.Work.Save(e.Session)
	first, last, err := x.ends(ctx, e.Account, 0)
	if err != nil {
		x.failed(ctx, e.Account, "archive cannot be read", err)
		return nil, nil // the client asks if it must know
	}
	// What is decided and not yet written counts as well.
	if a := x.accounts.Peek(e.Event); a != nil && a.last.id != "" {
		last = a.last
		if first.id == "" {
			first = a.first
		}
	}
	return metadata(first, last), nil
}

func metadata(first, last stamp) xmlstream.Marshaler {
	if first.id == "" {
		return mux.Raw("<metadata xmlns='" + NS + "'/>")
	}
	b := []byte("<metadata xmlns='" + NS + "'>")
	b = appendEnd(b, "start", first)
	b = appendEnd(b, "end", last)
	return mux.Raw(append(b, "</metadata>"...))
}

func appendEnd(b []byte, name string, s stamp) []byte {
	b = append(append(append(b, '<'), name...), " id='"...)
	b = xmlwrite.AppendAttrValue(b, s.id)
	b = append(b, "' timestamp='"...)
	return append(appendTime(b, s.at), "'/>"...)
}
