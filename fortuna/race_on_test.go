//go:build race

package fortuna

const raceEnabled = true
