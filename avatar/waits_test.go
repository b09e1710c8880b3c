package avatar_test

import (
	"context"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// slow are nodes that are read when the test says so.
type slow struct {
	pep.Store
	open chan struct{}
}

func (s slow) Load(ctx context.Context, account mux.Address) ([]pep.Node, error) {
	if account == addr("juliet@example.net") {
		<-s.open
	}
	return s.Store.Load(ctx, account)
}

// TestOthersGoOn: presence, and a card that is asked for, wait for a store without anybody
// else waiting (AV-10a).
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	open := make(chan chan struct{}, 1)
	play(t, func(a *assembly) {
		c := make(chan struct{}) // of the bubble
		a.nodes.Store = slow{a.nodes.Store, c}
		open <- c
	}, func(s *stage) {
		nurse := s.h.Connect(t, "nurse@example.net/1")
		s.romeo.Send("<presence/>")
		s.romeo.Clear()
		s.juliet.Send("<presence/>")
		s.romeo.Send("<iq type='get' id='g' to='juliet@example.net'><vCard xmlns='vcard-temp'/></iq>", "<message to='nurse@example.net/1' id='m'><body>x</body></message>")
		if got := strings.Join(nurse.Arrived(), ""); !strings.Contains(got, "id='m'") {
			t.Errorf("the nurse got %q", got)
		}
		s.expect("")
		close(<-open)
		s.h.Settle()
		s.expect("none")
	})
}
