//go:build race

package blocking_test

// raceEnabled: the race detector allocates, so what counts allocations is skipped.
const raceEnabled = true
