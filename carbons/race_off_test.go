//go:build !race

package carbons_test

const raceEnabled = false
