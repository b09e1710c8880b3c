//go:build linux && !race && !msan && !asan

package netio

import (
	"syscall"
	"unsafe"
)

// maxQuick bounds what is copied to or from the kernel in one call that the scheduler
// does not know of.
const maxQuick = 64 << 10

// quickRead and quickWrite are syscall.Read and syscall.Write for sockets that do not
// block. Those tell the scheduler that the thread may be away for long: it wakes up
// the thread that watches over such calls, if that sleeps, and has another thread go
// on if the machine is slow. On a server that waits much, as for round trips, that
// costs more than the call. Here the thread is away for as long only as the kernel
// needs to copy a few octets.
func quickRead(fd int, p []byte) (int, error) {
	return quick(syscall.SYS_READ, fd, p, syscall.Read)
}

func quickWrite(fd int, p []byte) (int, error) {
	return quick(syscall.SYS_WRITE, fd, p, syscall.Write)
}

func quick(call uintptr, fd int, p []byte, slow func(fd int, p []byte) (int, error)) (int, error) {
	if len(p) == 0 || len(p) > maxQuick {
		return slow(fd, p)
	}
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EAGAIN:
		return -1, errAgain
	}
	return -1, errno
}

// errAgain is made once.
var errAgain error = syscall.EAGAIN
