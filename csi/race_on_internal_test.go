//go:build race

package csi

const raceEnabled = true
