package scram_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// TestFailureSASLCondition: protocols that do not import this package find the
// condition by its method, also through wrapping.
func TestFailureSASLCondition(t *testing.T) {
	t.Parallel()
	_, _, _, err := scram.ParsePlain([]byte("no separator"))
	var f interface{ SASLCondition() string }
	if !errors.As(fmt.Errorf("wrapped: %w", err), &f) {
		t.Fatalf("error %v has no condition", err)
	}
	if got := f.SASLCondition(); got != scram.MalformedRequest {
		t.Errorf("condition %q, want %q", got, scram.MalformedRequest)
	}
}
