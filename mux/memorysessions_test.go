package mux_test

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/storetest"
)

func TestMemorySessions(t *testing.T) {
	t.Parallel()
	storetest.TestSessions(t, func(*testing.T) storetest.Store {
		return storetest.Store{Sessions: new(mux.MemorySessions)}
	})
}
