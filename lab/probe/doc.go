// Command probe is what the lab's scenarios run in dom0 and in guests beside the products: it reads and records what a clone could repeat, takes
// seeds as they come over the wire, shows all of xenstore, and lets a domain run at a moment that is known.
package main
