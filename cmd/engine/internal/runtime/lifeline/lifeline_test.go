package lifeline_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"ddpm/engine/internal/runtime/lifeline"
)

// The test binary plays the engine when this variable says how the engine answers SIGTERM.
const envRole = "LIFELINE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "obedient":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		lifeline.Start()
		child := exec.Command("sh", "-c", `echo "variable ${DDPM_LIFELINE_FD-unset}"; (: <&3) 2>/dev/null && echo "descriptor open"`)
		out, _ := child.Output()
		fmt.Printf("started %s", out)
		<-stop
		os.Exit(7)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		lifeline.Start()
		fmt.Println("started")
		time.Sleep(time.Minute)
	}
}

type engine struct {
	cmd            *exec.Cmd
	lifeline       *os.File
	stdout, stderr bytes.Buffer
}

func start(t *testing.T, role string, env ...string) *engine {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{cmd: exec.Command(os.Args[0]), lifeline: write}
	e.cmd.Env = append(os.Environ(), append(env, envRole+"="+role, lifeline.EnvFD+"=3")...)
	e.cmd.ExtraFiles = []*os.File{read}
	e.cmd.Stderr = &e.stderr
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	t.Cleanup(func() { _ = e.cmd.Process.Kill() })
	line := make([]byte, 1000)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	e.stdout.Write(line[:n])
	return e
}

func TestTheEngineStopsWhenThePipeCloses(t *testing.T) {
	e := start(t, "obedient")
	e.lifeline.Close()
	_ = e.cmd.Wait()
	if code := e.cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d", code)
	}
	if strings.Count(e.stderr.String(), "\n") != 1 || !strings.Contains(e.stderr.String(), "is gone") {
		t.Errorf("it said %q", e.stderr.String())
	}
}

func TestChildrenDoNotInheritTheLifeline(t *testing.T) {
	e := start(t, "obedient")
	defer e.lifeline.Close()
	if got := e.stdout.String(); got != "started variable unset\n" {
		t.Errorf("the child sees: %q", got)
	}
}

func TestAStubbornEngineIsEnded(t *testing.T) {
	e := start(t, "stubborn", lifeline.EnvGrace+"=0.2")
	e.lifeline.Close()
	_ = e.cmd.Wait()
	if code := e.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestABadDescriptorIsAnError(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"=stubborn", lifeline.EnvFD+"=three")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `DDPM_LIFELINE_FD="three" is not a file descriptor`) {
		t.Errorf("%v: %s", err, out)
	}
}
