package steps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/warpstreamlabs/bento/public/components/pure"
	_ "github.com/warpstreamlabs/bento/public/components/pure/extended"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/records/origin"

	_ "ddpm/engine/internal/processors/steps"
)

// outcome is what became of a record: its document, or the reason why it failed; nothing if it was left out.
type outcome map[int64]string

// through runs records through processors and returns what became of them, by offset.
func through(t *testing.T, processors []any, batch service.MessageBatch) outcome {
	t.Helper()
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	for _, processor := range append([]any{map[string]any{"ddpm_origin": map[string]any{}}, map[string]any{"ddpm_json": map[string]any{}}}, processors...) {
		text, err := json.Marshal(processor)
		must(t, err)
		must(t, builder.AddProcessorYAML(string(text)))
	}
	found := outcome{}
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		if chunk, ok := origin.ChunkOf(batch); ok {
			if chunk.Unchecked {
				t.Error("the documents are called unchecked")
			}
			batch = nil
			for i := range chunk.Records {
				batch = append(batch, chunk.MessageOf(i))
			}
		}
		for _, msg := range batch {
			o, _ := origin.From(msg)
			if msg.GetError() != nil {
				found[o.Offset] = "failed: " + origin.CauseOf(msg).Code + ": " + origin.CauseOf(msg).Message
				continue
			}
			doc, err := msg.AsBytes()
			must(t, err)
			found[o.Offset] = string(doc)
		}
		return nil
	}))
	produce, err := builder.AddBatchProducerFunc()
	must(t, err)
	stream, err := builder.Build()
	must(t, err)
	go func() { _ = stream.Run(context.Background()) }()
	defer func() { _ = stream.StopWithin(5 * time.Second) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(t, produce(ctx, batch))
	return found
}

var documents = []string{
	`{"b":1,"a":"x","n":{"c":[1,2.50,1e400]}}`, ` { "a" : "é\u00e9 <&>\u2028", "b" : null } `, `{"a":"5","b":-0.0,"b":7}`, `[1,{"a":2}]`, `[]`, `{}`,
	`5`, `"text"`, `true`, `null`, `{"a":"\ud800"}`, `{"a":"\\ud800"}`, `{"a":"\ufffd � ok"}`, "{\"a\":\"\xff\"}", `not json`, ``, "\uFEFF{\"a\":1}",
	`{"a":123456789012345678901234567890.123456789,"b":9007199254740993}`, strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000),
}

var mappings = [][]string{
	{"root = this"},
	{"root.a = this.a\nroot.b = this.b | 3"},
	{"root = this\nroot.a = this.a.uppercase()"},
	{"root = this\nroot.b = this.b * 2"},
	{"root = this\nroot.l = this.without(\"a\").keys().sort()", "root.k = this.l.length()"},
	{"root = if this.b == 1 { deleted() }"},
	{"root = deleted()"},
	{"let x = 5"},
	{"let x = 5", "root.y = this.a"},
	{"root = this.a"},
	{"root = this.a", "root.again = this"},
	{"root = \"[1,2]\"", "root = this"},
	{"root = this.a.bytes()"},
	{"root.raw = this.a.bytes()\nroot.t = \"2020-01-01T00:00:00Z\".ts_parse(\"2006-01-02T15:04:05Z\")"},
	{"root.a = this.a.decode(\"hex\").string()"},
	{"root.a = \"\\u00ff\".bytes().slice(0, 1).string()"},
	{"root.a = throw(\"no\")"},
	{"root = this", "root = this\n\nroot.z = this.missing.not_null()"},
	{"map m {\n  root = this\n  root.seen = true\n}\nroot = this.apply(\"m\")"},
	{"root = this.number()"},
	{"root = null"},
	{"root = [this, this]"},
	{"root.f = 0.1 + 0.2\nroot.i = 7 / 2\nroot.big = 10.pow(21)\nroot.t = this.type()"},
}

var line = regexp.MustCompile(`(failed assignment \(line \d+\): )+`)

// Whatever a mapping does with a document, a batch that travels as one message becomes what its records would have become.
func TestMappingsDoWhatTheyDoOnMessages(t *testing.T) {
	records := make([]enginetest.Record, len(documents))
	for i, doc := range documents {
		records[i] = enginetest.Record{Topic: "t", Offset: int64(i), Value: []byte(doc)}
	}
	records = append(records, enginetest.Record{Topic: "t", Offset: int64(len(documents))})
	for _, texts := range mappings {
		var try []any
		for i, text := range texts {
			try = append(try, map[string]any{"label": fmt.Sprintf("processors_%d", i), "mapping": text})
		}
		messages := make(service.MessageBatch, len(records))
		for i, r := range records {
			messages[i] = r.Message()
		}
		want := through(t, []any{
			map[string]any{"ddpm_before_mapping": map[string]any{}}, map[string]any{"try": try}, map[string]any{"ddpm_after_mapping": map[string]any{}},
		}, messages)
		got := through(t, []any{map[string]any{"ddpm_steps": map[string]any{"mappings": texts}}}, enginetest.Chunk(records...))
		for offset := range int64(len(records)) {
			// Within a map the one names the line of the map, the other that of its call.
			if strings.Contains(texts[0], "map m") {
				got[offset], want[offset] = line.ReplaceAllString(got[offset], ""), line.ReplaceAllString(want[offset], "")
			}
			if got[offset] != want[offset] {
				t.Errorf("%q of record %d: %.200q, want %.200q", texts, offset, got[offset], want[offset])
			}
		}
	}
}

func TestAMappingThatAsksForMoreThanADocumentIsRefused(t *testing.T) {
	for _, text := range []string{"root = content()", "root.n = batch_index()", `root.t = metadata("x")`, `root.j = json("a")`, "root = error()"} {
		builder := service.NewEnvironment().NewStreamBuilder()
		must(t, builder.AddProcessorYAML(fmt.Sprintf("ddpm_steps: {mappings: [%q]}", text)))
		must(t, builder.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }))
		must(t, builder.SetLoggerYAML("level: OFF"))
		_, err := builder.AddProducerFunc()
		must(t, err)
		stream, err := builder.Build()
		must(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := stream.Run(ctx); err == nil || !strings.Contains(err.Error(), "unrecognised function") {
			t.Errorf("%s: %v", text, err)
		}
		cancel()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
