// Package handover takes environment variables that must not be seen from outside over an inherited pipe.
//
// Anyone who may inspect a container sees its environment. What comes over the pipe stands in this process alone.
package handover

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"ddpm/engine/internal/contract"
)

// EnvFD names the file descriptor to read from: one line, a JSON object of names and values.
const EnvFD = contract.EnvHandoverFD

// Take reads the line, if a pipe was announced, and sets the variables. It ends the process when
// there is no such line: an engine without its secrets would only fail later, and less clearly.
func Take() {
	text := os.Getenv(EnvFD)
	os.Unsetenv(EnvFD)
	if text == "" {
		return
	}
	if err := take(text); err != nil {
		fmt.Fprintf(os.Stderr, "engine: what it needs was not handed over (%s=%q): %v\n", EnvFD, text, err)
		os.Exit(1)
	}
}

func take(text string) error {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 0 {
		return fmt.Errorf("not a file descriptor")
	}
	variables, err := read(descriptor(fd))
	if err != nil {
		return err
	}
	for name, value := range variables {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("a variable cannot be set: %w", err)
		}
	}
	return nil
}

// An os.File would close the pipe once it is collected as garbage.
type descriptor int

func (d descriptor) Read(buffer []byte) (int, error) {
	for {
		count, err := syscall.Read(int(d), buffer)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case count == 0:
			return 0, io.EOF
		default:
			return count, nil
		}
	}
}

// The pipe stays open: its end says that the parent is gone. Whatever follows the line is of no account.
func read(pipe io.Reader) (map[string]string, error) {
	line, err := bufio.NewReader(pipe).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the pipe ended early: %w", err)
	}
	var variables map[string]string
	if json.Unmarshal(line, &variables) != nil {
		// Not with its error, which may quote a secret.
		return nil, fmt.Errorf("the line is not a JSON object of texts")
	}
	return variables, nil
}
