// Package enginetest lets tests run streams of the engine without Kafka: messages look as the engine's
// input makes them, and an output named "capture" keeps what the kafka output would send.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/bloblang"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"

	// Streams use the engine's common components.
	_ "github.com/warpstreamlabs/bento/public/components/pure"
)

// Record is a record of a Kafka topic. A nil Value is a tombstone.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Key       string
	Value     []byte
	Headers   map[string][]string
	Timestamp time.Time
}

// Origin returns the record as the engine's input captures it.
func (r Record) Origin() origin.Origin {
	o := origin.Origin{
		Topic:     r.Topic,
		Partition: r.Partition,
		Offset:    r.Offset,
		Key:       r.Key,
		Value:     r.Value,
		Null:      r.Value == nil,
	}
	if !r.Timestamp.IsZero() {
		o.TimestampMS, o.HasTimestamp = r.Timestamp.UnixMilli(), true
	}
	for name, values := range r.Headers {
		o.Headers = append(o.Headers, origin.Header{Name: name, Values: values})
	}
	return o
}

// Message returns the record as a message of the engine's input.
func (r Record) Message() *service.Message { return origin.Message(r.Origin()) }

// Chunk returns records as the one message of a pipeline that needs no processors of a user.
func Chunk(records ...Record) service.MessageBatch {
	chunk := &origin.Chunk{}
	for _, r := range records {
		chunk.Records = append(chunk.Records, origin.Record{Origin: r.Origin(), Document: r.Value})
	}
	return service.MessageBatch{chunk.Message()}
}

// Sent is a record as the kafka output would send it.
type Sent struct {
	Key     string
	Value   []byte
	Headers map[string]string
}

// Capture collects what a stream's capture output received.
type Capture struct {
	mu   sync.Mutex
	sent []Sent
}

// Sent returns everything received so far.
func (c *Capture) Sent() []Sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Sent(nil), c.sent...)
}

func (c *Capture) register(env *service.Environment) error {
	spec := service.NewConfigSpec().Fields(
		service.NewInterpolatedStringField("key").Default(""),
		service.NewMetadataExcludeFilterField("metadata"),
	)
	return env.RegisterBatchOutput("capture", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			key, err := conf.FieldInterpolatedString("key")
			if err != nil {
				return nil, service.BatchPolicy{}, 0, err
			}
			filter, err := conf.FieldMetadataExcludeFilter("metadata")
			return &captureOutput{c, key, filter}, service.BatchPolicy{}, 1, err
		})
}

type captureOutput struct {
	capture *Capture
	key     *service.InterpolatedString
	filter  *service.MetadataExcludeFilter
}

func (o *captureOutput) Connect(context.Context) error { return nil }
func (o *captureOutput) Close(context.Context) error   { return nil }

func (o *captureOutput) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	o.capture.mu.Lock()
	defer o.capture.mu.Unlock()
	for i, msg := range batch {
		key, err := batch.TryInterpolatedBytes(i, o.key)
		if err != nil {
			return err
		}
		value, err := msg.AsBytes()
		if err != nil {
			return err
		}
		headers := map[string]string{}
		_ = o.filter.Walk(msg, func(name, value string) error {
			headers[name] = bloblang.ValueToString(value)
			return nil
		})
		o.capture.sent = append(o.capture.sent, Sent{string(key), value, headers})
	}
	return nil
}

// Stream is a running stream.
type Stream struct {
	t       testing.TB
	produce service.MessageBatchHandlerFunc
	stream  *service.Stream
	ended   chan error
	direct  bool
	// Dead is what the capture output received.
	Dead *Capture
	// Metrics are those of all components.
	Metrics *Metrics
}

// Start runs a stream of processors and an output, each in YAML, and stops it at the end of the test.
// Log lines go to the listeners.
func Start(t testing.TB, processors []string, output string, listeners ...func(string)) *Stream {
	t.Helper()
	s := &Stream{t: t, Dead: &Capture{}, Metrics: &Metrics{}, ended: make(chan error, 1), direct: Direct && allOurs(processors)}
	env := service.NewEnvironment().Clone()
	must(t, s.Dead.register(env))
	must(t, s.Metrics.register(env))
	builder := env.NewStreamBuilder()
	must(t, builder.AddOutputYAML(output))
	for _, processor := range processors {
		must(t, builder.AddProcessorYAML(processor))
	}
	must(t, builder.SetMetricsYAML("captured: {}"))
	builder.SetThreads(4)
	builder.SetPrintLogger(printer{listeners})
	var err error
	s.produce, err = builder.AddBatchProducerFunc()
	must(t, err)
	s.stream, err = builder.Build()
	must(t, err)
	go func() { s.ended <- s.stream.Run(context.Background()) }()
	t.Cleanup(func() { s.Stop(10 * time.Second) })
	return s
}

// ErrRunning says that a stream has not ended.
var ErrRunning = errors.New("the stream did not end")

// Stop ends the stream and returns what its run returned.
func (s *Stream) Stop(patience time.Duration) error {
	_ = s.stream.StopWithin(patience)
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(patience):
		return ErrRunning
	}
}

// Produce sends one batch and returns when the stream has acknowledged it, or why it did not.
func (s *Stream) Produce(ctx context.Context, records ...Record) error {
	if s.direct {
		return s.produce(ctx, Chunk(records...))
	}
	batch := make(service.MessageBatch, len(records))
	for i, r := range records {
		batch[i] = r.Message()
	}
	return s.produce(ctx, batch)
}

// Direct has streams get their batches as one message each where they have no processors but ddpm's own.
var Direct bool

func allOurs(processors []string) bool {
	for _, processor := range processors {
		if !strings.Contains(processor, "ddpm_") {
			return false
		}
	}
	return true
}

// MustProduce sends one batch and fails the test unless it is acknowledged soon.
func (s *Stream) MustProduce(records ...Record) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Produce(ctx, records...); err != nil {
		s.t.Fatalf("the batch was not acknowledged: %v", err)
	}
}

type printer struct {
	listeners []func(string)
}

func (p printer) Printf(format string, v ...any) { p.print(fmt.Sprintf(format, v...)) }
func (p printer) Println(v ...any)               { p.print(fmt.Sprintln(v...)) }

func (p printer) print(line string) {
	for _, listener := range p.listeners {
		listener(line)
	}
}

// Await returns when something is so, and fails the test if it is not in time.
func Await(t testing.TB, patience time.Duration, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
