package sqlstore

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
	privatetest "github.com/propolis-im/propolis/private/storetest"
	vcardtest "github.com/propolis-im/propolis/vcard/storetest"
)

func TestPrivate(t *testing.T) {
	t.Parallel()
	privatetest.Test(t, func(t *testing.T) privatetest.Store {
		d := temp(t, nil)
		return privatetest.Store{Store: d.Private(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestVCards(t *testing.T) {
	t.Parallel()
	vcardtest.Test(t, func(t *testing.T) vcardtest.Store {
		d := temp(t, nil)
		return vcardtest.Store{Store: d.VCards(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}
