package roster_test

import (
	"testing"

	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/roster/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store {
		return storetest.Store{Store: new(roster.Memory)}
	})
}
