package pep_test

import (
	"testing"

	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(pep.Memory)} })
}
