//go:build !race

package csi

const raceEnabled = false
