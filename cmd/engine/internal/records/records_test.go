package records_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/records"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
)

// words is a format of documents between spaces: "bad" cannot be read, "torn" ends the record's
// readability and "panic" is a defect of the parser.
type words struct{}

func (words) Decode(_ context.Context, payload []byte, yield records.Yield) (*reason.Reason, error) {
	for _, word := range bytes.Fields(payload) {
		var failure *reason.Reason
		switch string(word) {
		case "torn":
			return reason.New(reason.StageParse, "torn", "the record ends too early"), nil
		case "panic":
			panic("a defect")
		case "bad":
			failure = reason.New(reason.StageParse, "bad", "a bad word")
		}
		if !yield(bytes.Clone(word), failure) {
			return nil, nil
		}
	}
	return nil, nil
}

func init() {
	for name, many := range map[string]bool{"test_words": true, "test_word": false} {
		records.Register(name, service.NewConfigSpec().Field(service.NewObjectField("").Default(map[string]any{})),
			func(*service.ParsedConfig, *service.Resources) (records.Decoder, error) { return words{}, nil }, many)
	}
}

// outcomes runs payloads through processors and describes the messages that come out: offset, index,
// and the document or the code of the failure.
func outcomes(t *testing.T, processor string, batch ...enginetest.Record) []string {
	t.Helper()
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	must(t, builder.AddProcessorYAML("ddpm_origin: {}"))
	must(t, builder.AddProcessorYAML(processor+": {}"))
	var out []string
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, b service.MessageBatch) error {
		for _, msg := range b {
			out = append(out, describe(msg))
		}
		return nil
	}))
	produce, err := builder.AddBatchProducerFunc()
	must(t, err)
	stream, err := builder.Build()
	must(t, err)
	go func() { _ = stream.Run(context.Background()) }()
	defer func() { _ = stream.StopWithin(5 * time.Second) }()
	messages := make(service.MessageBatch, len(batch))
	for i, r := range batch {
		messages[i] = r.Message()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(t, produce(ctx, messages))
	return out
}

func describe(msg *service.Message) string {
	o, _ := origin.From(msg)
	index := "-"
	if o.HasIndex {
		index = fmt.Sprint(o.Index)
	}
	content, _ := msg.AsBytes()
	text := string(content)
	if err := msg.GetError(); err != nil {
		if parsed, ok := reason.Parse(err.Error()); ok {
			text = "!" + parsed.Code
		}
	}
	return fmt.Sprintf("%d/%s %s", o.Offset, index, text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(offset int, value string) enginetest.Record {
	return enginetest.Record{Topic: "events", Offset: int64(offset), Value: []byte(value)}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDocumentsCarryTheirIndexAndBadOnesFailAlone(t *testing.T) {
	expect(t, outcomes(t, "test_words", record(1, "a bad c"), record(2, ""), record(3, "d")),
		"1/0 a", "1/1 !bad", "1/2 c", "3/0 d")
}

func TestARecordThatCannotBeReadAsAWholeIsOneFailureWithoutIndex(t *testing.T) {
	expect(t, outcomes(t, "test_words", record(1, "a torn"), record(2, "b")), "1/- !torn", "2/0 b")
	expect(t, outcomes(t, "test_words", record(1, "a panic"), record(2, "b")), "1/- !parser_failed", "2/0 b")
}

func TestATombstoneIsPoison(t *testing.T) {
	tombstone := enginetest.Record{Topic: "events", Offset: 1}
	expect(t, outcomes(t, "test_words", tombstone), "1/- !null_value")
	expect(t, outcomes(t, "test_word", tombstone), "1/- !null_value")
}

func TestAFormatOfOneDocumentHasNoIndex(t *testing.T) {
	expect(t, outcomes(t, "test_word", record(1, "a"), record(2, "bad"), record(3, "")),
		"1/- a", "2/- !bad", "3/- !not_one_document")
}
