package smacks_test

import (
	"testing"

	"github.com/propolis-im/propolis/smacks"
	"github.com/propolis-im/propolis/smacks/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(smacks.Memory)} })
}
