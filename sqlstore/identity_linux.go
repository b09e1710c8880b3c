package sqlstore

import (
	"fmt"
	"os"
	"syscall"
)

// identity tells a file from every other, and from itself before the last
// change to it: no program can set the time of change. It is empty if the file
// system does not say.
func identity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d %d %d.%09d", s.Dev, s.Ino, s.Size, s.Ctim.Sec, s.Ctim.Nsec)
}
