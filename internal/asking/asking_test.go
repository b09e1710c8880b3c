package asking_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/internal/asking"
)

// TestContext: it ends with the other before done, and never after.
func TestContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		outer, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		done1, stop1 := asking.Context(outer)
		done2, stop2 := asking.Context(outer)
		defer stop2()
		if done1.Value(key{}) != "v" {
			t.Error("the value is lost")
		}
		stop1()
		cancel()
		synctest.Wait()
		if done1.Err() != nil {
			t.Error("it ends after done")
		}
		if done2.Err() == nil {
			t.Error("it does not end")
		}
		done3, stop3 := asking.Context(outer)
		defer stop3()
		synctest.Wait()
		if done3.Err() == nil {
			t.Error("it does not end with what has ended")
		}
	})
}
