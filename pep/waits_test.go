package pep_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// slow is a store whose reads wait until they may go on.
type slow struct {
	pep.Store
	waiting atomic.Int32
	open    chan struct{}
}

func (s *slow) wait() {
	s.waiting.Add(1)
	<-s.open
}

func (s *slow) Load(ctx context.Context, account mux.Address) ([]pep.Node, error) {
	s.wait()
	return s.Store.Load(ctx, account)
}

func (s *slow) Index(ctx context.Context, account mux.Address, node string) ([]pep.Entry, error) {
	s.wait()
	return s.Store.Index(ctx, account, node)
}

// TestOthersGoOn: whoever waits for the store keeps only its own account waiting: the
// reader of its stream and other accounts go on (kernel rule 2).
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		pubsub("<items node='n'/>"),
		"<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>",
		"<query xmlns='http://jabber.org/protocol/disco#items'/>",
	} {
		st := new(slow)
		play(t, func(a *assembly) {
			juliet := addr("juliet@example.net")
			n := pep.Node{Name: "n", Config: pep.DefaultConfig()}
			apply(t, a.store.PutNode(juliet, n), a.store.Change(juliet, "n", pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "1", Seq: 1}, Payload: "<x xmlns='urn:x'/>"}}, Seq: 1}))
			st.Store, a.store, st.open = a.store, st, make(chan struct{}) // of the bubble
		}, func(s *stage) {
			r, nurse := s.who("romeo"), s.who("nurse")
			r.Send("<iq type='get' id='1' to='juliet@example.net'>"+payload+"</iq>", "<message to='nurse@example.net/1' id='m'><body>x</body></message>")
			if got := strings.Join(nurse.Arrived(), ""); !strings.Contains(got, "id='m'") || st.waiting.Load() != 1 {
				t.Errorf("%s: the nurse got %q, %d wait", payload, got, st.waiting.Load())
			}
			st.open <- struct{}{}
			s.h.Settle()
			close(st.open) // the index, where it is needed
			s.h.Settle()
			if got := strings.Join(r.Arrived(), ""); !strings.Contains(got, "type='result'") {
				t.Errorf("%s: romeo got %s", payload, got)
			}
		})
	}
}
