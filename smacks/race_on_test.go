//go:build race

package smacks_test

const raceEnabled = true
