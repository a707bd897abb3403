// Package cli is what the commands of this project have in common.
//
// [Root] makes a command's top, [Main] runs it and ends the process:
//
//	func main() {
//		root := cli.Root("xentropyd", "give entropy to virtual machines")
//		root.AddCommand(run(), status())
//		cli.Main(root)
//	}
//
// Every command then has version, completion, a hidden man, --log-level, a
// context that SIGINT and SIGTERM cancel, and the same way to fail: one line on
// standard error, perhaps a second one that begins with "hint:", and an exit
// status of [ExitFailure] or [ExitUsage].
//
// # Wording
//
// Messages are lower case and end without a full stop. They say what was being
// done, on what, why it failed, and, in the hint, what to do about it. What a
// command was asked for goes to standard output, everything else to standard
// error. With --json, exactly one JSON value goes to standard output. Names
// that a guest or another program chose are shown with unprintable runes
// replaced. A table has no lines, its head is upper case, and a value that is
// not known is "-".
package cli
