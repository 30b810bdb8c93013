package workers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/enginetest"
	_ "ddpm/engine/internal/processors/workers"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
)

const pythonEnv = "DDPM_PYTHON"

// parser is a stream that parses with a plugin and keeps what comes out.
type parser struct {
	t       *testing.T
	folder  string
	produce service.MessageBatchHandlerFunc
	stream  *service.Stream
	mutex   sync.Mutex
	out     []string
	log     []string
}

// plugin starts a stream with a plugin of the given source; options are YAML of the processor.
func plugin(t *testing.T, source string, options ...string) *parser {
	t.Helper()
	if os.Getenv(pythonEnv) == "" {
		t.Fatalf("%s must name a Python that can import ddpm", pythonEnv)
	}
	p := &parser{t: t, folder: t.TempDir()}
	path := filepath.Join(p.folder, "plugin.py")
	must(t, os.WriteFile(path, []byte(source), 0o600))
	given := strings.Join(append([]string{
		"python_env: " + pythonEnv, "name: mine", fmt.Sprintf("path: %q", path),
	}, options...), ", ")
	for _, each := range []string{"workers: 2", "timeout: 5s", "memory: 1000000000", "tries: 3"} {
		if !strings.Contains(given, strings.SplitAfter(each, ":")[0]) {
			given += ", " + each
		}
	}
	builder := service.NewEnvironment().NewStreamBuilder()
	builder.SetPrintLogger(p)
	builder.SetThreads(4)
	must(t, builder.AddProcessorYAML("ddpm_origin: {}"))
	must(t, builder.AddProcessorYAML("ddpm_python: {"+given+"}"))
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, b service.MessageBatch) error {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		for _, msg := range b {
			p.out = append(p.out, describe(msg))
		}
		return nil
	}))
	var err error
	p.produce, err = builder.AddBatchProducerFunc()
	must(t, err)
	p.stream, err = builder.Build()
	must(t, err)
	go func() { _ = p.stream.Run(context.Background()) }()
	t.Cleanup(func() { _ = p.stream.StopWithin(10 * time.Second) })
	return p
}

func (p *parser) Printf(format string, v ...any) { p.Println(fmt.Sprintf(format, v...)) }

func (p *parser) Println(v ...any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.log = append(p.log, fmt.Sprintln(v...))
}

// parse returns what becomes of a batch of payloads: offset, index, and the document or the reason.
func (p *parser) parse(payloads ...string) []string {
	p.t.Helper()
	batch := make(service.MessageBatch, len(payloads))
	for i, payload := range payloads {
		batch[i] = enginetest.Record{
			Topic: "orders", Partition: 2, Offset: int64(i), Key: "k\xff", Value: []byte(payload), Timestamp: time.UnixMilli(1700000000123),
			Headers: map[string][]string{"trace": {"é", "\x00"}},
		}.Message()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	must(p.t, p.produce(ctx, batch))
	p.mutex.Lock()
	defer p.mutex.Unlock()
	out := p.out
	p.out = nil
	return out
}

func (p *parser) said(text string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.ContainsFunc(p.log, func(line string) bool { return strings.Contains(line, text) })
}

func describe(msg *service.Message) string {
	o, _ := origin.From(msg)
	place := strconv.FormatInt(o.Offset, 10)
	if o.HasIndex {
		place += "." + strconv.Itoa(o.Index)
	}
	if err := msg.GetError(); err != nil {
		r, _ := reason.Parse(err.Error())
		return fmt.Sprintf("%s %s: %s", place, r.Code, r.Message)
	}
	content, _ := msg.AsBytes()
	return place + " " + string(content)
}

func TestRowsKeepTheirOrderAndEveryDigit(t *testing.T) {
	p := plugin(t, `
from datetime import UTC, datetime
from decimal import Decimal
def parse(payload, meta):
    for number in range(int(payload)):
        yield {"n": 2**70 + number, "d": Decimal("0.10"), "at": datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "b": b"\x00", "f": float("nan")}
`)
	row := `{"n":118059162071741130342%d,"d":0.10,"at":"2026-01-02T03:04:05.000006Z","b":"\\x00","f":"NaN"}`
	want := []string{
		"0.0 " + fmt.Sprintf(row, 4), "0.1 " + fmt.Sprintf(row, 5), "2.0 " + fmt.Sprintf(row, 4),
	}
	same(t, p.parse("2", "0", "1"), want)
}

func TestAFunctionIsToldWhereARecordComesFrom(t *testing.T) {
	p := plugin(t, `
def parse(payload, meta):
    return [{"is": [meta.topic, meta.partition, meta.offset, meta.timestamp.isoformat(), meta.key, sorted(meta.headers)]}]
`)
	want := `0.0 {"is":["orders",2,0,"2023-11-14T22:13:20.123000+00:00","\\x6bff",` +
		`[["trace","\\x00"],["trace","\\xc3a9"]]]}`
	same(t, p.parse("x"), []string{want})
}

func TestWhatAFunctionDoesWrongCostsItsRecord(t *testing.T) {
	p := plugin(t, `
import os, sys
from ddpm.plugins import Poison
def parse(payload, meta):
    print("seen", payload)
    os.write(1, b"raw\n")
    match payload:
        case b"raise": raise ValueError("no good")
        case b"exit": sys.exit(3)
        case b"none": return None
        case b"dict": return {"a": 1}
        case b"text": return "a"
        case b"rows": return [{"a": 1}, 2, {"a": {3}}, Poison("too old"), {"a": "\ud800"}, {"a": 4}]
    return [{"a": payload.decode()}]
`)
	got := p.parse("x", "raise", "exit", "none", "dict", "text", "rows", "y")
	file := filepath.Join(p.folder, "plugin.py")
	want := []string{
		`0.0 {"a":"x"}`,
		"1 plugin_failed: " + file + ":8: ValueError: no good",
		"2 plugin_failed: " + file + ":9: SystemExit: 3",
		"3 plugin_wrong_type: parse returned None; it must return a list of dicts, or yield dicts",
		"4 plugin_wrong_type: parse returned of the type dict; it must return a list of dicts, or yield dicts",
		"5 plugin_wrong_type: parse returned of the type str; it must return a list of dicts, or yield dicts",
		`6.0 {"a":1}`,
		"6.1 plugin_wrong_type: a row is of the type int; it must be a dict",
		"6.2 plugin_wrong_type: a row has no form in JSON: a is of the type set, which has no form in JSON",
		"6.3 plugin_refused: too old",
		"6.4 plugin_wrong_type: a row has no form in JSON: 'utf-8' codec can't encode character '\\ud800' in position 6: surrogates not allowed",
		`6.5 {"a":4}`,
		`7.0 {"a":"y"}`,
	}
	same(t, got, want)
	// What a plugin prints takes another way than its answers.
	waitFor(t, func() bool { return p.said("seen b'x'") && p.said("raw") })
}

func TestACrashAndAHangCostOnlyTheirRecords(t *testing.T) {
	for name, bad := range map[string]struct{ code, want string }{
		"crash": {"os.kill(os.getpid(), 11)", "plugin_crashed: the plugin's process ended: signal: segmentation fault, 2 times"},
		"hang":  {"time.sleep(3600)", "plugin_timed_out: the plugin did not return within 300ms, 2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(t, `
import os, time
def parse(payload, meta):
    if payload == b"bad":
        `+bad.code+`
    return [{"a": payload.decode()}]
`, "timeout: 300ms", "tries: 2")
			payloads := make([]string, 1000)
			want := make([]string, len(payloads))
			for i := range payloads {
				payloads[i] = strconv.Itoa(i)
				want[i] = fmt.Sprintf(`%d.0 {"a":"%d"}`, i, i)
			}
			for _, i := range []int{300, 301, 999} {
				payloads[i] = "bad"
				want[i] = fmt.Sprintf("%d %s", i, bad.want)
			}
			same(t, p.parse(payloads...), want)
		})
	}
}

func TestAnAccidentIsNoPoison(t *testing.T) {
	p := plugin(t, `
import os, pathlib
once = pathlib.Path(__file__).with_name("once")
def parse(payload, meta):
    if payload == b"bad" and not once.exists():
        once.touch()
        os._exit(1)
    return [{"a": payload.decode()}]
`)
	same(t, p.parse("good", "bad", "good"), []string{`0.0 {"a":"good"}`, `1.0 {"a":"bad"}`, `2.0 {"a":"good"}`})
}

func TestALeakEndsTheProcessAndNoRecord(t *testing.T) {
	p := plugin(t, `
kept = []
def parse(payload, meta):
    kept.append(bytearray(20_000_000))
    return [{"a": len(kept) < 1000}]
`, "memory: 300000000")
	payloads := slices.Repeat([]string{"x"}, 60)
	for i, got := range p.parse(payloads...) {
		if want := fmt.Sprintf(`%d.0 {"a":true}`, i); got != want {
			t.Fatalf("record %d: %s", i, got)
		}
	}
	if !p.said("needed more than the 286 MiB it may have") {
		t.Error("nobody was told")
	}
}

func TestARecordThatNeedsTooMuchMemoryIsPoison(t *testing.T) {
	p := plugin(t, `
def parse(payload, meta):
    return [{"a": len(bytearray(int(payload)))}]
`, "memory: 300000000")
	want := []string{`0.0 {"a":1}`, "1 plugin_out_of_memory: the plugin needed more than the 286 MiB it may have, 3 times", `2.0 {"a":2}`}
	same(t, p.parse("1", "900000000", "2"), want)
}

func TestAPluginThatCannotBeLoadedIsWaitedFor(t *testing.T) {
	p := plugin(t, "def parse(payload, meta): return [{}]\n")
	path := filepath.Join(p.folder, "plugin.py")
	must(t, os.WriteFile(path, []byte("import nothing_of_this_name\n"), 0o600))
	answered := make(chan []string, 1)
	go func() { answered <- p.parse("x") }()
	waitFor(t, func() bool { return p.said(path + ":1: ModuleNotFoundError: No module named 'nothing_of_this_name'") })
	must(t, os.WriteFile(path, []byte("def parse(payload, meta): return [{'mended': True}]\n"), 0o600))
	same(t, <-answered, []string{`0.0 {"mended":true}`})
}

func TestTheEndOfTheStreamEndsItsWorkers(t *testing.T) {
	p := plugin(t, `
import os, subprocess
child = subprocess.Popen(["sleep", "3600"])
def parse(payload, meta):
    return [{"pids": [os.getpid(), child.pid]}]
`)
	var worker, child int
	_, err := fmt.Sscanf(p.parse("x")[0], `0.0 {"pids":[%d,%d]}`, &worker, &child)
	must(t, err)
	must(t, p.stream.StopWithin(10*time.Second))
	waitFor(t, func() bool { return !runs(worker) && !runs(child) })
}

func runs(pid int) bool { return syscall.Kill(pid, 0) == nil }

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 20 seconds")
		}
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			g, w := "(nothing)", "(nothing)"
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
