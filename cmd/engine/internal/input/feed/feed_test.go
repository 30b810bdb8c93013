package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/warpstreamlabs/bento/public/service"

	_ "github.com/warpstreamlabs/bento/public/components/pure"

	_ "ddpm/engine/internal/input/feed"
	"ddpm/engine/internal/records/origin"
)

// fed runs a stream that reads these lines and returns what was captured of its messages, by batch.
func fed(t *testing.T, limits, lines string) [][]origin.Origin {
	t.Helper()
	reading, writing, err := os.Pipe()
	must(t, err)
	before := os.Stdin
	os.Stdin = reading
	defer func() { os.Stdin = before }()
	go func() {
		_, _ = writing.WriteString(lines)
		_ = writing.Close()
	}()
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	must(t, builder.AddInputYAML("ddpm_feed: {"+limits+"}"))
	must(t, builder.AddProcessorYAML("ddpm_origin: {}"))
	var out [][]origin.Origin
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		var captured []origin.Origin
		for _, msg := range batch {
			o, ok := origin.From(msg)
			if !ok {
				return fmt.Errorf("a message without an origin")
			}
			captured = append(captured, *o)
		}
		out = append(out, captured)
		return nil
	}))
	stream, err := builder.Build()
	must(t, err)
	must(t, stream.Run(context.Background()))
	return out
}

const roomy = "count: 100, byte_size: 1000000, period: 100ms"

func line(t *testing.T, fields map[string]any) string {
	t.Helper()
	text, err := json.Marshal(fields)
	must(t, err)
	return string(text) + "\n"
}

func TestARecordIsWhatItWas(t *testing.T) {
	lines := line(t, map[string]any{
		"topic": "events", "partition": 2, "offset": 1 << 40, "timestamp_ms": 1700000000123,
		"key": []byte("k\xff"), "value": []byte("\xff\x00"), "source": 7, "attempt": 3,
		"headers": []map[string]any{
			{"name": "h", "value": []byte("\xfe")}, {"name": "h", "value": []byte("2")},
			{"name": "kafka_offset", "value": []byte("1")},
		},
	}) + line(t, map[string]any{"topic": "events", "offset": 5, "value": nil, "timestamp_ms": nil})
	batches := fed(t, roomy, lines)
	if len(batches) != 1 || len(batches[0]) != 2 {
		t.Fatalf("%v", batches)
	}
	first, second := batches[0][0], batches[0][1]
	if first.Topic != "events" || first.Partition != 2 || first.Offset != 1<<40 || !first.HasTimestamp ||
		first.TimestampMS != 1700000000123 || first.Key != "k\xff" || !bytes.Equal(first.Value, []byte("\xff\x00")) || first.Null {
		t.Errorf("%+v", first)
	}
	if first.Source == nil || *first.Source != 7 || first.Attempt != 3 {
		t.Errorf("source %v, attempt %d", first.Source, first.Attempt)
	}
	if fmt.Sprintf("%q", first.Headers) != `[{"h" ["\xfe" "2"]} {"kafka_offset" ["1"]}]` {
		t.Errorf("%q", first.Headers)
	}
	if second.HasTimestamp || !second.Null || second.Source != nil || second.Attempt != 0 {
		t.Errorf("%+v", second)
	}
}

func TestBatchesKeepToTheirLimits(t *testing.T) {
	var lines strings.Builder
	for offset := range 10 {
		lines.WriteString(line(t, map[string]any{"topic": "events", "offset": offset, "value": []byte("12345")}))
	}
	for limits, want := range map[string]int{
		"count: 4, byte_size: 1000, period: 1m":   3,
		"count: 100, byte_size: 10, period: 1m":   5,
		"count: 100, byte_size: 1000, period: 1m": 1,
	} {
		if batches := fed(t, limits, lines.String()); len(batches) != want {
			t.Errorf("%s: %d batches, not %d", limits, len(batches), want)
		}
	}
}

func TestWhatIsNoRecordEndsTheInput(t *testing.T) {
	good := line(t, map[string]any{"topic": "events", "offset": 1, "value": []byte("{}")})
	for _, bad := range []string{"nonsense\n" + good, strings.TrimSuffix(good, "\n")} {
		batches := fed(t, roomy, good+bad)
		if len(batches) != 1 || len(batches[0]) != 1 {
			t.Errorf("%q: %v", bad, batches)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
