// Package config is xentropyd's configuration file.
//
// [Load] reads a file over the defaults, [Default] and [UserDefault] are what
// holds without one. The file is TOML; every key is optional and is explained
// in packaging/xentropyd.toml. A key that is not known, a value of the wrong
// type and a value out of range are refused with file, line and column and with
// what is allowed.
//
// Most tables are types of the packages that act by them, with their defaults
// and their Check: here is only what concerns the file, or several tables. A
// carrier of transport/all brings its own table.
package config
