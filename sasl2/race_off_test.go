//go:build !race

package sasl2_test

// raceEnabled: the race detector allocates, so what counts allocations is skipped.
const raceEnabled = false
