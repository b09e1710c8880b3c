package avatar_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// TestCardWithoutWhatWasNotShown: an avatar that the card could not show is not switched
// off by a card that is set without it.
func TestCardWithoutWhatWasNotShown(t *testing.T) {
	t.Parallel()
	for name, publish := range map[string][]string{
		"elsewhere": {publishing(avatar.NSMetadata, id1, "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id1+"' bytes='11' type='image/png' url='https://x/'/></metadata>", "")},
		"pointer":   {publishing(avatar.NSMetadata, "x", "<metadata xmlns='urn:xmpp:avatar:metadata'><pointer><x xmlns='urn:x'/></pointer></metadata>", "")},
		"no data":   {metadata(id1, "")},
	} {
		play(t, nil, func(s *stage) {
			s.juliet.Send("<presence><c xmlns='x:caps'>urn:xmpp:avatar:metadata</c></presence>")
			s.juliet.Send(publish...)
			s.juliet.Clear()
			s.juliet.Send(card("<FN>J</FN>"))
			if got := strings.Join(s.juliet.Arrived(), ""); strings.Contains(got, "<event") || !strings.Contains(got, "result") {
				t.Errorf("%s: got %s", name, got)
			}
		})
	}
	// One that is shown is switched off.
	play(t, nil, func(s *stage) {
		s.juliet.Send("<presence><c xmlns='x:caps'>urn:xmpp:avatar:metadata</c></presence>", data(id1, png1, ""), metadata(id1, ""))
		s.juliet.Clear()
		s.juliet.Send(card("<FN>J</FN>"))
		if got := strings.Join(s.juliet.Arrived(), ""); !strings.Contains(got, "<metadata xmlns='urn:xmpp:avatar:metadata'/>") {
			t.Errorf("got %s", got)
		}
	})
}

// unsure are nodes whose items cannot be read for a while.
type unsure struct {
	pep.Store
	broken *atomic.Bool
}

func (u unsure) Items(ctx context.Context, account mux.Address, node string, ids []string) ([]pep.Item, error) {
	if u.broken.Load() {
		return nil, errors.New("on purpose")
	}
	return u.Store.Items(ctx, account, node, ids)
}

// TestOwnCardUnread: the own card is not shown without its image because that could not
// be read, since the client would set it like that.
func TestOwnCardUnread(t *testing.T) {
	t.Parallel()
	var off atomic.Bool
	play(t, func(a *assembly) { a.nodes.Store = unsure{a.nodes.Store, &off} }, func(s *stage) {
		s.juliet.Send(data(id1, png1, "open"), metadata(id1, "open"), card("<FN>J</FN>"+photo(png1)))
		off.Store(true)
		if got := s.card(s.juliet); got != "" {
			t.Errorf("juliet got %s", got)
		}
		if got := s.card(s.romeo); !strings.Contains(got, "<FN>J</FN>") || strings.Contains(got, "PHOTO") {
			t.Errorf("romeo got %s", got)
		}
		off.Store(false)
		if got := s.card(s.juliet); !strings.Contains(got, "PHOTO") {
			t.Errorf("then juliet got %s", got)
		}
	})
}

// TestAfterFailure: who comes when the state of the account was lost, as after a failed
// commit or a restart, sees the avatar that was told last.
func TestAfterFailure(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""))
		s.expect("none " + id1)
		other := s.h.Connect(t, "juliet@example.net/2")
		s.commits.Hold()
		other.Send(publishing("n", "1", "<x xmlns='urn:x'/>", ""))
		s.commits.Fail(errors.New("on purpose"))
		s.commits.Release()
		s.h.Settle()
		later := s.h.Connect(t, "romeo@example.net/2")
		later.Send("<presence/>")
		if got := s.photos(later); got != id1 {
			t.Errorf("who came later got %q", got)
		}
	})
}
