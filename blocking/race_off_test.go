//go:build !race

package blocking_test

const raceEnabled = false
