// Package report runs scenarios and prints their results as go test does: Runner.Run runs one, T is what a scenario gets. A T serves
// testify's require and assert.
package report
