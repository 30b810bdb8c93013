// Package lifeline ends the engine when the process that started it is gone.
//
// The parent keeps the writing end of a pipe open and hands the reading end down. However the
// parent dies, the kernel closes its end and the read here returns.
package lifeline

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"ddpm/engine/internal/contract"
)

// Names of the environment variables that the parent sets.
const (
	EnvFD    = contract.EnvLifelineFD
	EnvGrace = contract.EnvLifelineGrace
)

const defaultGrace = 20 * time.Second

// Start watches the inherited pipe, if there is one, and returns at once. When the pipe closes the
// process asks itself to stop (SIGTERM) and, after the grace period, exits without asking.
func Start() {
	fdText, graceText := os.Getenv(EnvFD), os.Getenv(EnvGrace)
	os.Unsetenv(EnvFD)
	os.Unsetenv(EnvGrace)
	if fdText == "" {
		return
	}
	fd, err := strconv.Atoi(fdText)
	if err != nil || fd < 0 {
		fmt.Fprintf(os.Stderr, "engine: %s=%q is not a file descriptor\n", EnvFD, fdText)
		os.Exit(1)
	}
	syscall.CloseOnExec(fd)
	go watch(os.NewFile(uintptr(fd), "lifeline"), grace(graceText))
}

func grace(text string) time.Duration {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 {
		return defaultGrace
	}
	return time.Duration(seconds * float64(time.Second))
}

func watch(pipe *os.File, patience time.Duration) {
	_, err := io.Copy(io.Discard, pipe)
	fmt.Fprintf(os.Stderr, "engine: the process that started this engine is gone (%s), stopping within %s\n",
		cause(err), patience)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	time.Sleep(patience)
	os.Exit(1)
}

func cause(err error) string {
	if err == nil {
		return "its pipe closed"
	}
	return err.Error()
}
