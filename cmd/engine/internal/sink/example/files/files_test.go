package files_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/enginetest"

	_ "ddpm/engine/internal/input"
	_ "ddpm/engine/internal/sink/example/files"
)

const (
	group   = "late"
	perFile = 20
	perRead = 10
)

// stream is an engine that reads a topic into files, a batch at a time.
func stream(t testing.TB, broker, topic, folder, age string) *service.Stream {
	t.Helper()
	builder := service.NewStreamBuilder()
	must(t, builder.AddInputYAML(fmt.Sprintf(`ddpm_kafka:
  addresses: [%q]
  topics: [%q]
  consumer_group: %s
  direct: true
  batching: {count: %d, period: 20ms}`, broker, topic, group+topic, perRead)))
	must(t, builder.AddOutputYAML(fmt.Sprintf("json_files: {folder: %q, age: %s, max_in_flight: %d}", folder, age, perFile)))
	must(t, builder.SetLoggerYAML("level: ERROR"))
	s, err := builder.Build()
	must(t, err)
	return s
}

func run(t testing.TB, s *service.Stream) (ended chan error) {
	ended = make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	t.Cleanup(func() { _ = s.StopWithin(10 * time.Second) })
	return ended
}

func documents(from, to int) []string {
	all := make([]string, 0, to-from)
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprintf(`{"n":%d}`, n))
	}
	return all
}

// lines are those of the files whose names have a pattern, and how many each has.
func lines(t testing.TB, folder, pattern string) (all []string, sizes []int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, pattern))
	must(t, err)
	for _, name := range names {
		file, err := os.Open(name)
		if os.IsNotExist(err) {
			continue // it was closed meanwhile
		}
		must(t, err)
		before := len(all)
		for text := bufio.NewScanner(file); text.Scan(); {
			all = append(all, text.Text())
		}
		sizes = append(sizes, len(all)-before)
		must(t, file.Close())
	}
	return all, sizes
}

func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	enginetest.Await(t, 30*time.Second, what, so)
}

func same(t testing.TB, got, want []string) {
	t.Helper()
	got = slices.Clone(got)
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, not these %d: %v", len(got), len(want), got)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOffsetsAreCommittedWhenTheFileIsClosed(t *testing.T) {
	topic, folder := enginetest.NewTopic(t), t.TempDir()
	const full = 2 * perFile * perRead
	topic.Write(documents(0, full)...)
	s := stream(t, topic.Broker, topic.Name, folder, "1h")
	ended := run(t, s)
	await(t, "all files that are full are closed and committed", func() bool {
		return topic.Committed(group+topic.Name) == full
	})
	topic.Write(documents(full, full+30)...)
	await(t, "the rest is in a file", func() bool {
		open, _ := lines(t, folder, ".open-*")
		return len(open) == 30
	})
	if committed := topic.Committed(group + topic.Name); committed != full {
		t.Errorf("committed is %d while the file is open", committed)
	}
	// An end closes the file at once, whatever its age.
	must(t, s.StopWithin(10*time.Second))
	must(t, <-ended)
	closed, _ := lines(t, folder, "*.jsonl")
	same(t, closed, documents(0, full+30))
	if committed := topic.Committed(group + topic.Name); committed != full+30 {
		t.Errorf("committed is %d after the end", committed)
	}
}

func TestNoMoreIsHeldThanIsInFlight(t *testing.T) {
	topic, folder := enginetest.NewTopic(t), t.TempDir()
	topic.Write(documents(0, 1000)...)
	run(t, stream(t, topic.Broker, topic.Name, folder, "300ms"))
	await(t, "everything is committed", func() bool { return topic.Committed(group+topic.Name) == 1000 })
	closed, sizes := lines(t, folder, "*.jsonl")
	same(t, closed, documents(0, 1000))
	if slices.Max(sizes) > perFile*perRead {
		t.Errorf("files of %v lines", sizes)
	}
}

const envProcess = "DDPM_TEST_FILES"

// TestProcess is the engine that another test kills; on its own it does nothing.
func TestProcess(t *testing.T) {
	if where := strings.Fields(os.Getenv(envProcess)); len(where) > 0 {
		_ = stream(t, where[0], where[1], where[2], "1h").Run(context.Background())
	}
}

func TestAnOpenFileIsReadAgainAfterACrash(t *testing.T) {
	topic, folder := enginetest.NewTopic(t), t.TempDir()
	topic.Write(documents(0, 30)...)
	process := exec.Command(os.Args[0], "-test.run=^TestProcess$")
	process.Env = append(os.Environ(), envProcess+"="+strings.Join([]string{topic.Broker, topic.Name, folder}, " "))
	must(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill() })
	await(t, "the records are in an open file", func() bool {
		open, _ := lines(t, folder, ".open-*")
		return len(open) == 30
	})
	must(t, process.Process.Kill())
	_ = process.Wait()
	if closed, _ := lines(t, folder, "*.jsonl"); len(closed) > 0 {
		t.Errorf("nobody closed %v", closed)
	}
	run(t, stream(t, topic.Broker, topic.Name, folder, "100ms"))
	await(t, "everything is committed", func() bool { return topic.Committed(group+topic.Name) == 30 })
	closed, _ := lines(t, folder, "*.jsonl")
	same(t, closed, documents(0, 30))
}
