//go:build !race

package fortuna

const raceEnabled = false
