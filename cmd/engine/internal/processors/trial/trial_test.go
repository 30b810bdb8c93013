package trial_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/warpstreamlabs/bento/public/service"

	_ "github.com/warpstreamlabs/bento/public/components/pure"

	_ "ddpm/engine/internal/formats"
	_ "ddpm/engine/internal/processors/trial"
	_ "ddpm/engine/internal/records/origin"
)

// answers runs records, each in JSON, through the processor.
func answers(t *testing.T, options string, records ...string) []string {
	t.Helper()
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	must(t, builder.AddProcessorYAML("ddpm_trial: {origin: [{ddpm_origin: {}}], "+options+"}"))
	produce, err := builder.AddProducerFunc()
	must(t, err)
	var out []string
	must(t, builder.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
		text, err := msg.AsBytes()
		out = append(out, string(text))
		return err
	}))
	stream, err := builder.Build()
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	for _, record := range records {
		must(t, produce(context.Background(), service.NewMessage([]byte(record))))
	}
	must(t, stream.Stop(context.Background()))
	must(t, <-ended)
	return out
}

func record(t *testing.T, payload string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"record": 7, "payload": []byte(payload), "topic": "events", "offset": 6})
	must(t, err)
	return string(text)
}

const typed = `parser: [{ddpm_json: {}}], processors: [{try: [{mapping: "root = if this.drop == true { deleted() }"}]}], limit: 10,
  columns: [{name: id, from: field, path: [id], type: bigint}, {name: at, from: timestamp, type: timestamptz}]`

func TestEveryStepIsInTheAnswer(t *testing.T) {
	for payload, want := range map[string]string{
		`{"id": 9007199254740993.0}`: `"documents":[{"outcome":"dead_letter","parsed":{"id":9007199254740993.0},"document":{"id":9007199254740993.0},` +
			`"columns":[{"column":"id","type":"bigint","value":"9007199254740993.0"},{"column":"at","type":"timestamptz","value":null}],` +
			`"reason":{"stage":"sink","code":"22P02","message":"invalid input syntax for type bigint: \"9007199254740993.0\"","column":"id","sqlstate":"22P02"}}]`,
		`{"id": 9007199254740993, "a": "<\u0000>"}`: `"documents":[{"outcome":"written","parsed":{"id":9007199254740993,"a":"<\u0000>"},` +
			`"document":{"id":9007199254740993,"a":"<\u0000>"},"columns":[{"column":"id","type":"bigint","value":"9007199254740993"},` +
			`{"column":"at","type":"timestamptz","value":null}]}]`,
		`{"drop": true}`: `"documents":[{"outcome":"filtered","parsed":{"drop":true}}]`,
		`nope`:           `"code":"not_json"`,
		`[1]`:            `"stage":"sink","code":"not_an_object"`,
	} {
		out := answers(t, typed, record(t, payload))
		if len(out) != 1 || !strings.Contains(out[0], want) || !strings.HasPrefix(out[0], `{"record":7,`) {
			t.Errorf("%s:\n got %s\nwant %s", payload, out, want)
		}
	}
}

func TestARecordOfManyKeepsItsPlacesAndItsDeadLettersAboveTheLimit(t *testing.T) {
	options := `parser: [{ddpm_csv: {delimiter: ","}}], processors: [{try: [{mapping: "root = if this.a == \"x\" { deleted() } else { this }"}]}], limit: 2, columns: []`
	out := answers(t, options, record(t, "a,b\n1,2\nx,2\n3,4\n5\n6,7"))
	want := `"documents":[{"index":0,"outcome":"written","parsed":{"a":"1","b":"2"},"document":{"a":"1","b":"2"}},` +
		`{"index":1,"outcome":"filtered","parsed":{"a":"x","b":"2"}},` +
		`{"index":3,"outcome":"dead_letter","reason":{"stage":"parse","code":"wrong_column_count","message":"line 5 has 1 values and not 2"}}],"left_out":2}`
	if len(out) != 1 || !strings.HasSuffix(out[0], want) {
		t.Errorf("got %s\nwant %s", out, want)
	}
}

func TestMappingsSeeWhatSurroundsARecord(t *testing.T) {
	options := `parser: [{ddpm_json: {}}], processors: [{mapping: "root = [@kafka_topic, @kafka_key, @kafka_offset, @source, @kafka_timestamp_unix]"}], limit: 2, columns: []`
	out := answers(t, options, `{"payload": "e30=", "topic": "events", "offset": 5, "key": "k", "headers": {"source": ["web"]}, "timestamp_ms": 1000}`)
	if want := `"document":["events","k",5,["web"],1]`; len(out) != 1 || !strings.Contains(out[0], want) {
		t.Errorf("got %s, want %s", out, want)
	}
	if out = answers(t, options, `{"payload": null}`); !strings.Contains(out[0], `"code":"null_value"`) {
		t.Errorf("a tombstone: %s", out)
	}
	options = `parser: [{ddpm_tombstones: {action: skip}}, {ddpm_json: {}}], processors: [], limit: 2, columns: []`
	if out = answers(t, options, `{"payload": null}`); !strings.Contains(out[0], `"documents":[{"outcome":"filtered"}]`) {
		t.Errorf("a skipped tombstone: %s", out)
	}
	options = `parser: [{ddpm_tombstones: {action: pass}}, {ddpm_json: {}}, {ddpm_tombstones_passed: {many: false}}], processors: [], limit: 2, ` +
		`columns: [{name: id, from: field, path: [id], type: bigint}, {name: data, from: document, type: jsonb}]`
	out = answers(t, options, `{"payload": null}`, `{"payload": "bnVsbA=="}`)
	if want := `"columns":[{"column":"id","type":"bigint","value":null},{"column":"data","type":"jsonb","value":"null"}]`; !strings.Contains(out[0], want) {
		t.Errorf("a tombstone that passes: %s", out)
	}
	if !strings.Contains(out[1], `"code":"not_an_object"`) {
		t.Errorf("a document null that is no tombstone: %s", out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
