package sasl2_test

import (
	"testing"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/sasl2/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.Store{Store: new(sasl2.Memory)} })
}
