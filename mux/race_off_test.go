//go:build !race

package mux_test

// raceEnabled: the race detector allocates, so what counts allocations is skipped.
const raceEnabled = false
