package workers

import "syscall"

// orphansEnd lets the kernel end a worker with the engine, however that ends and whatever the worker is at.
func orphansEnd(attributes *syscall.SysProcAttr) *syscall.SysProcAttr {
	attributes.Pdeathsig = syscall.SIGKILL
	return attributes
}
