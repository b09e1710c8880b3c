package mux_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails if goroutines of the mux are left when all tests have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits a while for goroutines to end and returns the stacks of those
// that do not.
func leaked() string {
	var left []string
	for range 100 {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		left = nil
		for g := range strings.SplitSeq(string(buf), "\n\n") {
			if strings.Contains(g, "propolis/mux.") && !strings.Contains(g, "TestMain") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
		<-time.After(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}
