package archive_test

import (
	"testing"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/archive/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store {
		m := new(archive.Memory)
		return storetest.Store{Store: m, PrefsStore: m, Lister: m}
	})
}
