//go:build !linux

package workers

import "syscall"

// orphansEnd can do nothing here: a worker ends when it finds its requests closed, after the record that it is at.
func orphansEnd(attributes *syscall.SysProcAttr) *syscall.SysProcAttr { return attributes }
