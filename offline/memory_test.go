package offline_test

import (
	"testing"

	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/offline/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(offline.Memory)} })
}
