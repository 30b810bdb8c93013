package profiling_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"ddpm/engine/internal/runtime/profiling"
)

// The test binary plays the engine when this variable is set: it works until its input ends.
const envRole = "PROFILING_TEST_ROLE"

var kept [][]byte

func TestMain(m *testing.M) {
	if os.Getenv(envRole) == "" {
		os.Exit(m.Run())
	}
	save := profiling.Start()
	fmt.Printf("variable %q\n", os.Getenv(profiling.EnvFolder))
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	kept = append(kept, bytes.Repeat([]byte("x"), 8<<20))
	transform(done)
	save()
	runtime.KeepAlive(kept)
}

// transform is what a profile must show.
func transform(done chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
			_ = strings.Repeat("record", 10_000)
		}
	}
}

type engine struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *lines
}

// lines passes on what a process writes, a line at a time.
type lines struct {
	seen chan string
	rest string
}

func (l *lines) Write(text []byte) (int, error) {
	parts := strings.Split(l.rest+string(text), "\n")
	for _, line := range parts[:len(parts)-1] {
		l.seen <- line
	}
	l.rest = parts[len(parts)-1]
	return len(text), nil
}

func (l *lines) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l.seen:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("it says nothing")
		return ""
	}
}

func start(t *testing.T, folder string) *engine {
	t.Helper()
	e := &engine{
		t:      t,
		cmd:    exec.Command(os.Args[0]),
		stdout: &lines{seen: make(chan string, 100)},
		stderr: &lines{seen: make(chan string, 100)},
	}
	e.cmd.Env = append(os.Environ(), envRole+"=engine", profiling.EnvFolder+"="+folder)
	e.cmd.Stdout, e.cmd.Stderr = e.stdout, e.stderr
	var err error
	if e.stdin, err = e.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.cmd.Process.Kill() })
	if line := e.stdout.next(t); line != `variable ""` {
		t.Errorf("what it hands down: %s", line)
	}
	return e
}

// address is where a running engine says that its profiles are.
func (e *engine) address() string {
	e.t.Helper()
	var entry struct{ Level, Msg, Folder, URL string }
	line := e.stderr.next(e.t)
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level != "INFO" || entry.URL == "" {
		e.t.Fatalf("it said %q", line)
	}
	return entry.URL
}

func (e *engine) stop() {
	e.t.Helper()
	e.stdin.Close()
	if err := e.cmd.Wait(); err != nil {
		e.t.Fatal(err)
	}
}

func saved(t *testing.T, path string) *profile.Profile {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parsed, err := profile.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func fetched(t *testing.T, address string) *profile.Profile {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parsed, err := profile.Parse(answer.Body)
	if err != nil {
		t.Fatalf("%s: %v", answer.Status, err)
	}
	return parsed
}

// total adds up the values of a kind in all stacks with a function in them.
func total(p *profile.Profile, kind, function string) (sum int64) {
	index := 0
	for i, each := range p.SampleType {
		if each.Type == kind {
			index = i
		}
	}
	for _, sample := range p.Sample {
		found := false
		for _, location := range sample.Location {
			for _, line := range location.Line {
				found = found || strings.Contains(line.Function.Name, function)
			}
		}
		if found {
			sum += sample.Value[index]
		}
	}
	return sum
}

func TestTheWholeRunIsSaved(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "pipeline", "0")
	e := start(t, folder)
	address := e.address()
	first := fetched(t, address+"profile?seconds=0.3")
	second := fetched(t, address+"profile?seconds=0.3")
	e.stop()
	cpu := saved(t, filepath.Join(folder, profiling.CPUFile))
	parts := total(first, "cpu", "transform") + total(second, "cpu", "transform")
	if whole := total(cpu, "cpu", "transform"); parts == 0 || whole < parts {
		t.Errorf("%d ns of CPU are saved, %d ns were seen", whole, parts)
	}
	memory := saved(t, filepath.Join(folder, profiling.MemoryFile))
	if size := total(memory, "inuse_space", "TestMain"); size < 8<<20 {
		t.Errorf("%d bytes are in use by what keeps 8 MiB", size)
	}
	left, _ := filepath.Glob(filepath.Join(folder, "*"))
	hidden, _ := filepath.Glob(filepath.Join(folder, ".*"))
	if len(left) != 2 || len(hidden) != 0 {
		t.Errorf("the folder has %v and %v", left, hidden)
	}
}

func TestMemoryCanBeAskedForOnLoopbackOnly(t *testing.T) {
	e := start(t, t.TempDir())
	address := e.address()
	for deadline := time.Now().Add(20 * time.Second); total(fetched(t, address+"heap?gc=1"), "alloc_space", "transform") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was allocated")
		}
	}
	parsed, err := url.Parse(address)
	if err != nil || !net.ParseIP(parsed.Hostname()).IsLoopback() {
		t.Errorf("it listens on %s", address)
	}
	e.stop()
}

func TestAQuestionDoesNotHoldUpTheEnd(t *testing.T) {
	folder := t.TempDir()
	e := start(t, folder)
	address := e.address()
	fetched(t, address+"profile?seconds=0.3")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Until it is this one's turn, and then for as long as the engine runs.
		for status := http.StatusConflict; status == http.StatusConflict; {
			answer, err := http.Get(address + "profile?seconds=3600")
			if err != nil {
				return
			}
			answer.Body.Close()
			status = answer.StatusCode
		}
	}()
	deadline := time.Now().Add(20 * time.Second)
	for {
		answer, err := http.Get(address + "profile?seconds=0.01")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusConflict {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("two can ask at once")
		}
	}
	e.stop()
	<-ended
	if total(saved(t, filepath.Join(folder, profiling.CPUFile)), "cpu", "transform") == 0 {
		t.Error("the CPU profile is empty")
	}
}

func TestWithoutAFolderNothingIsRecorded(t *testing.T) {
	e := start(t, "")
	e.stop()
	if len(e.stderr.seen) != 0 {
		t.Errorf("it said %q", <-e.stderr.seen)
	}
}

func TestAFolderThatCannotBeWrittenIsToldAtTheEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, filepath.Join(file, "profiles"))
	e.address()
	e.stop()
	if line := e.stderr.next(t); !strings.Contains(line, "cannot be saved") || !strings.Contains(line, file) {
		t.Errorf("it said %q", line)
	}
}
