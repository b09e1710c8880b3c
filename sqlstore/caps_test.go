package sqlstore

import (
	"testing"

	capstest "github.com/propolis-im/propolis/caps/storetest"
	"github.com/propolis-im/propolis/mux"
)

func TestCaps(t *testing.T) {
	t.Parallel()
	capstest.Test(t, func(t *testing.T) capstest.Store {
		d := temp(t, nil)
		return capstest.Store{Store: d.Caps(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}
