//go:build unix && !solaris && !aix

package control

import (
	"errors"
	"os"
	"syscall"
)

// errLocked is returned by tryLock if another process has the lock.
var errLocked = errors.New("locked")

func tryLock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case !errors.Is(err, syscall.EINTR):
			return os.NewSyscallError("flock", err)
		}
	}
}
