//go:build !linux

package server_test

// child: there are no tests with a process of their own.
func child() bool { return false }
