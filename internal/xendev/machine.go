package xendev

// Machine is the System of this machine, which nil stands for: for who wraps
// it.
func Machine() (System, error) { return thisMachine() }
