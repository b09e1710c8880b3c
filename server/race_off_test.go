//go:build !race

package server_test

// raceEnabled: the race detector needs memory, so what measures it is not judged.
const raceEnabled = false
