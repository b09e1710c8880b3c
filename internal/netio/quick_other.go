//go:build unix && (!linux || race || msan || asan)

package netio

import "syscall"

// The detectors of races and the like must know of what is read and written.

func quickRead(fd int, p []byte) (int, error)  { return syscall.Read(fd, p) }
func quickWrite(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
