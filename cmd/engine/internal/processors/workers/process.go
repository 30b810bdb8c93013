package workers

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records"
)

const (
	// startTimeout is how long a plugin may take to be imported.
	startTimeout = 60 * time.Second
	// flushSlack is how long a worker may keep an answer to send it with others, generously.
	flushSlack = 500 * time.Millisecond
	// farewell is how long a worker may take to end by itself.
	farewell = 2 * time.Second

	pipeBuffer = 256 << 10
	longestLog = 4 << 10
	// idle is what a worker writes into its progress while it is at no record.
	idle = ^uint32(0)
)

// Variables of ddpm's own hold secrets, which are none of a plugin's business.
const ownVariables = "DDPM_"

// process is one worker: a Python interpreter that has loaded a plugin.
type process struct {
	cmd      *exec.Cmd
	requests *os.File
	answers  *os.File
	reader   *bufio.Reader
	progress *os.File
	ended    chan struct{}
	killing  sync.Once
}

// start runs a worker and waits until its plugin is loaded. The error says what is wrong with the plugin.
func start(conf config, log *service.Logger) (*process, error) {
	p := &process{ended: make(chan struct{})}
	var theirs []*os.File
	defer func() {
		for _, file := range theirs {
			_ = file.Close()
		}
	}()
	requestsOut, requestsIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.requests, theirs = requestsIn, append(theirs, requestsOut)
	answersOut, answersIn, err := os.Pipe()
	if err != nil {
		p.closeFiles()
		return nil, err
	}
	p.answers, theirs = answersOut, append(theirs, answersIn)
	p.reader = bufio.NewReaderSize(answersOut, pipeBuffer)
	if p.progress, err = scratch(); err != nil {
		p.closeFiles()
		return nil, err
	}
	printed, printing, err := os.Pipe()
	if err != nil {
		p.closeFiles()
		return nil, err
	}
	theirs = append(theirs, printing)

	p.cmd = exec.Command(conf.python, "-P", "-u", "-m", "ddpm.plugins.worker", conf.name, conf.path, strconv.Itoa(conf.memory))
	p.cmd.Env = environment()
	// Whatever a plugin prints is log, and can never be taken for an answer.
	p.cmd.Stdout, p.cmd.Stderr = printing, printing
	p.cmd.ExtraFiles = []*os.File{requestsOut, answersIn, p.progress}
	p.cmd.SysProcAttr = orphansEnd(&syscall.SysProcAttr{Setpgid: true})
	if err := onItsThread(p.cmd.Start); err != nil {
		_ = printed.Close()
		p.closeFiles()
		return nil, err
	}
	go relay(printed, log)
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.awaitReady(); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// scratch is a file without a name, through which a worker says what it is at: it outlives the worker's worst ends.
func scratch() (*os.File, error) {
	file, err := os.CreateTemp("", "ddpm-worker-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, err
	}
	_, err = file.Write(binary.BigEndian.AppendUint32(nil, idle))
	return file, err
}

func environment() []string {
	kept := []string{}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, ownVariables) {
			kept = append(kept, entry)
		}
	}
	return kept
}

var (
	starterOnce sync.Once
	starts      = make(chan func())
)

// onItsThread runs a function on a thread that lives as long as the engine: the kernel ends a worker with the thread
// that started it.
func onItsThread(do func() error) error {
	starterOnce.Do(func() {
		go func() {
			runtime.LockOSThread()
			for each := range starts {
				each()
			}
		}()
	})
	result := make(chan error, 1)
	starts <- func() { result <- do() }
	return <-result
}

func relay(printed *os.File, log *service.Logger) {
	defer func() { _ = printed.Close() }()
	lines := bufio.NewReaderSize(printed, longestLog)
	for {
		line, tooLong, err := lines.ReadLine()
		if text := strings.TrimSpace(string(line)); text != "" {
			log.Info("the plugin says: " + text)
		}
		for tooLong && err == nil {
			_, tooLong, err = lines.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

func (p *process) awaitReady() error {
	_ = p.answers.SetReadDeadline(time.Now().Add(startTimeout))
	kind, content, err := readFrame(p.reader)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it was not loaded within %s", startTimeout)
	case err != nil:
		p.kill()
		return fmt.Errorf("its process ended while it was loaded: %s", p.cmd.ProcessState)
	case kind == frameBroken:
		return errors.New(string(content))
	case kind != frameReady:
		return fmt.Errorf("its process began with a frame of the unknown kind %q", kind)
	}
	return nil
}

// errHung says that nothing came in time.
var errHung = errors.New("it did not return in time")

// exchange sends records and hands on their results, by their places, as they come. With an error, the process is of no more use.
func (p *process) exchange(batch []records.Record, timeout time.Duration, take func(int, records.Result)) error {
	sent := make(chan error, 1)
	go func() { sent <- writeRequest(bufio.NewWriterSize(p.requests, pipeBuffer), batch) }()
	limit := func() { _ = p.answers.SetReadDeadline(time.Now().Add(timeout + flushSlack)) }
	limit()
	for i := range batch {
		result, err := readResult(p.reader, limit)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errHung
		}
		if err != nil {
			return err
		}
		take(i, result)
	}
	return <-sent
}

// at is the place, within the last exchange, of the record that the worker is at; false while it is at none.
func (p *process) at() (int, bool) {
	var content [4]byte
	if _, err := p.progress.ReadAt(content[:], 0); err != nil {
		return 0, false
	}
	place := binary.BigEndian.Uint32(content[:])
	return int(place), place != idle
}

// stop asks the worker to end, by closing its requests, and kills it if it takes too long.
func (p *process) stop() {
	_ = p.requests.Close()
	p.awaitEnd()
	p.kill()
}

// awaitEnd waits a moment for the end of a worker that closed its answers, so that its exit says why.
func (p *process) awaitEnd() {
	select {
	case <-p.ended:
	case <-time.After(farewell):
	}
}

// kill ends the worker, what it may have started, and everything that belongs to it here.
func (p *process) kill() {
	p.killing.Do(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		p.closeFiles()
	})
}

func (p *process) closeFiles() {
	for _, file := range []*os.File{p.requests, p.answers, p.progress} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// outOfMemory reports whether the worker, which has ended, reached its memory limit.
func (p *process) outOfMemory() bool {
	return p.cmd.ProcessState.ExitCode() == exitOutOfMemory
}

// end tells in words how the worker ended.
func (p *process) end() string {
	return p.cmd.ProcessState.String()
}
