//go:build race

package carbons_test

const raceEnabled = true
