//go:build race

package scramclient

const raceEnabled = true
