package sink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/enginetest"

	_ "ddpm/engine/internal/records/origin"
)

// stock is an output as the engine brings it, for tests: it fails as it is told.
type stock struct {
	mu sync.Mutex
	// fail gives the error of a document; those of whole batches come from down.
	fail map[string]error
	down error
	got  []string
	// silent holds up every write while it is open.
	silent chan struct{}
}

func (s *stock) Connect(context.Context) error { return nil }
func (s *stock) Close(context.Context) error   { return nil }

func (s *stock) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	s.mu.Lock()
	silent := s.silent
	s.mu.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	return batch.WalkWithBatchedErrors(func(_ int, m *service.Message) error {
		text, err := m.AsBytes()
		if err == nil {
			err = s.fail[string(text)]
		}
		if err == nil {
			s.got = append(s.got, string(text))
		}
		return err
	})
}

func (s *stock) set(change func(*stock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *stock) has() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

var stocks = struct {
	sync.Mutex
	byName map[string]*stock
}{byName: map[string]*stock{}}

func init() {
	spec := service.NewConfigSpec().Field(service.NewStringField("name"))
	err := service.RegisterBatchOutput("stock", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			name, err := conf.FieldString("name")
			stocks.Lock()
			defer stocks.Unlock()
			return stocks.byName[name], service.BatchPolicy{}, 1, err
		})
	if err != nil {
		panic(err)
	}
}

// patient runs a stream with a stock output that patience is put around.
func patient(t *testing.T, s *stock, more string) (stream *enginetest.Stream, log *lines) {
	t.Helper()
	stocks.Lock()
	stocks.byName[t.Name()] = s
	stocks.Unlock()
	log = &lines{}
	output := fmt.Sprintf(`
fallback:
  - reject_errored:
      ddpm_sink:
        name: the archive
        output: {stock: {name: %q}}
%s
  - capture: {}
`, t.Name(), more)
	return enginetest.Start(t, []string{"ddpm_origin: {}"}, output, func(line string) {
		log.mu.Lock()
		defer log.mu.Unlock()
		log.text = append(log.text, line)
	}), log
}

func events(texts ...string) []enginetest.Record {
	records := make([]enginetest.Record, len(texts))
	for i, text := range texts {
		records[i] = enginetest.Record{Topic: "events", Offset: int64(i), Value: []byte(text)}
	}
	return records
}

func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	enginetest.Await(t, 20*time.Second, what, ready)
}

func TestAnOutageOfAStockOutputReachesNoFallback(t *testing.T) {
	s := &stock{down: errors.New("no route to host")}
	stream, _ := patient(t, s, "")
	done := make(chan error, 1)
	go func() { done <- stream.Produce(context.Background(), events("a", "b")...) }()
	await(t, "the metric", func() bool { return stream.Metrics.Get("ddpm_sink_waiting", "error") == 1 })
	s.set(func(s *stock) { s.down = nil })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	equal(t, "rows", s.has(), []string{"a", "b"})
	equal(t, "dead letters", len(stream.Dead.Sent()), 0)
	equal(t, "waiting", stream.Metrics.Get("ddpm_sink_waiting"), int64(0))
}

func TestOnlyWhatAStockOutputDidNotTakeIsTriedAgain(t *testing.T) {
	s := &stock{fail: map[string]error{"b": errors.New("busy"), "c": errors.New("the document is too large")}}
	stream, _ := patient(t, s, "        refused_if: ['too large']")
	done := make(chan error, 1)
	go func() { done <- stream.Produce(context.Background(), events("a", "b", "c", "d")...) }()
	await(t, "the metric", func() bool { return stream.Metrics.Get("ddpm_sink_waiting", "error") == 1 })
	equal(t, "rows", s.has(), []string{"a", "d"})
	s.set(func(s *stock) { delete(s.fail, "b") })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	equal(t, "rows", s.has(), []string{"a", "d", "b"})
	letters := stream.Dead.Sent()
	if len(letters) != 1 || string(letters[0].Value) != "c" {
		t.Errorf("the dead letters are %v", letters)
	}
}

func TestAStockOutputThatRefusesABatchForOneRecordIsAskedByHalves(t *testing.T) {
	s := &stock{fail: map[string]error{"a": errors.New("the document is too large")}}
	stream, _ := patient(t, s, "        refused_if: ['too large']")
	stream.MustProduce(events("a")...)
	s.set(func(s *stock) { s.down = errors.New("one of them is too large") })
	stream.MustProduce(events("x", "y")...)
	equal(t, "rows", len(s.has()), 0)
	equal(t, "dead letters", len(stream.Dead.Sent()), 3)
}

func TestASilentStockOutputIsToldAndLeftAlone(t *testing.T) {
	silent := make(chan struct{})
	s := &stock{silent: silent}
	stream, _ := patient(t, s, "        silence: 10ms")
	done := make(chan error, 1)
	go func() { done <- stream.Produce(context.Background(), events("a")...) }()
	await(t, "the metric", func() bool { return stream.Metrics.Get("ddpm_sink_waiting", "timeout") == 1 })
	s.set(func(s *stock) { s.silent = nil })
	close(silent)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	equal(t, "rows", s.has(), []string{"a"})
}

func TestAStreamEndsThoughAStockOutputIsDown(t *testing.T) {
	s := &stock{down: errors.New("no route to host")}
	stream, log := patient(t, s, "")
	done := make(chan error, 1)
	go func() { done <- stream.Produce(context.Background(), events("a")...) }()
	await(t, "the metric", func() bool { return stream.Metrics.Get("ddpm_sink_waiting", "error") == 1 })
	if err := stream.Stop(2 * time.Second); err == enginetest.ErrRunning {
		if err = stream.Stop(10 * time.Second); err == enginetest.ErrRunning {
			t.Errorf("it runs on; the log says %q", log.all())
		}
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("the batch was acknowledged")
		}
	case <-time.After(100 * time.Millisecond):
	}
	equal(t, "dead letters", len(stream.Dead.Sent()), 0)
}

func TestPatternsOfRefusalsAreChecked(t *testing.T) {
	builder := service.NewStreamBuilder()
	err := builder.AddOutputYAML("ddpm_sink: {name: x, refused_if: ['('], output: {drop: {}}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = builder.AddBatchProducerFunc(); err != nil {
		t.Fatal(err)
	}
	stream, err := builder.Build()
	if err == nil {
		err = stream.Run(context.Background())
	}
	if err == nil || !strings.Contains(err.Error(), "refused_if[0]") {
		t.Errorf("a broken expression is answered with %v", err)
	}
}
