//go:build !race

package smacks_test

const raceEnabled = false
