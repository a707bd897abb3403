// Package inside has tests that make sense in the lab's machines alone: they look at the machine itself. Scenarios run them there, compiled.
package inside
