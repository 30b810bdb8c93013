package origin_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/records/origin"

	_ "github.com/warpstreamlabs/bento/public/components/pure/extended"
)

// process runs records through processors given as YAML and returns the messages that come out.
func process(t *testing.T, processors []string, records ...enginetest.Record) service.MessageBatch {
	t.Helper()
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	for _, processor := range append([]string{"ddpm_origin: {}"}, processors...) {
		must(t, builder.AddProcessorYAML(processor))
	}
	var out service.MessageBatch
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, b service.MessageBatch) error {
		out = append(out, b...)
		return nil
	}))
	produce, err := builder.AddBatchProducerFunc()
	must(t, err)
	stream, err := builder.Build()
	must(t, err)
	go func() { _ = stream.Run(context.Background()) }()
	defer func() { _ = stream.StopWithin(5 * time.Second) }()
	batch := make(service.MessageBatch, len(records))
	for i, r := range records {
		batch[i] = r.Message()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must(t, produce(ctx, batch))
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(value string) enginetest.Record {
	return enginetest.Record{
		Topic: "events", Partition: 3, Offset: 1 << 40, Key: "k\xff", Value: []byte(value),
		Timestamp: time.UnixMilli(1_700_000_000_123),
	}
}

func TestMappingsReadAHeaderAsText(t *testing.T) {
	r := record(`{}`)
	r.Headers = map[string][]string{"trace": {"1", "2"}, "one": {"abc"}}
	msg := process(t, []string{"ddpm_origin: {plain_headers: true}", `mapping: 'root = {"one": @one, "trace": @trace, "key": @kafka_key.length()}'`}, r)[0]
	text, err := msg.AsBytes()
	must(t, err)
	if string(text) != `{"key":2,"one":"abc","trace":"2"}` {
		t.Errorf("%s", text)
	}
	o, _ := origin.From(msg)
	if !slices.ContainsFunc(o.Headers, func(h origin.Header) bool { return h.Name == "trace" && len(h.Values) == 2 }) {
		t.Errorf("the origin has %+v", o.Headers)
	}
}

// A parser of the user's in Python asks for plain headers, and needs no message for each record.
func TestABatchThatIsOneMessageHasNoMetadata(t *testing.T) {
	first, second := record(`{}`), record(`{}`)
	first.Headers = map[string][]string{"trace": {"1"}}
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	must(t, builder.AddProcessorYAML("ddpm_origin: {plain_headers: true}"))
	var chunk *origin.Chunk
	must(t, builder.AddBatchConsumerFunc(func(_ context.Context, b service.MessageBatch) error {
		chunk, _ = origin.ChunkOf(b)
		return nil
	}))
	produce, err := builder.AddBatchProducerFunc()
	must(t, err)
	stream, err := builder.Build()
	must(t, err)
	go func() { _ = stream.Run(context.Background()) }()
	defer func() { _ = stream.StopWithin(5 * time.Second) }()
	must(t, produce(context.Background(), enginetest.Chunk(first, second)))
	if chunk == nil || len(chunk.Records) != 2 || len(chunk.Records[0].Origin.Headers) != 1 {
		t.Errorf("%+v", chunk)
	}
}

func TestOriginIsWhatTheRecordWas(t *testing.T) {
	r := record(`{"a":1}`)
	r.Headers = map[string][]string{"trace": {"1", "2"}, "h": {"\xfe"}}
	o, ok := origin.From(process(t, nil, r)[0])
	if !ok {
		t.Fatal("there is no origin")
	}
	if o.Topic != "events" || o.Partition != 3 || o.Offset != 1<<40 || o.Key != "k\xff" || o.Null ||
		!o.HasTimestamp || o.TimestampMS != 1_700_000_000_123 || string(o.Value) != `{"a":1}` {
		t.Errorf("captured %+v", o)
	}
	headers := map[string][]string{}
	for _, h := range o.Headers {
		headers[h.Name] = h.Values
	}
	if !maps.EqualFunc(headers, r.Headers, slices.Equal) {
		t.Errorf("captured the headers %q", headers)
	}
}

func TestHeadersCannotForgeTheOrigin(t *testing.T) {
	r := record("{}")
	r.Headers = map[string][]string{}
	for _, name := range []string{
		"kafka_key", "kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp_unix_ms",
		"kafka_timestamp_unix", "kafka_tombstone_message", "kafka_lag",
	} {
		r.Headers[name] = []string{"7"}
	}
	o, ok := origin.From(process(t, nil, r)[0])
	if !ok || o.Topic != "events" || o.Partition != 3 || o.Offset != 1<<40 || o.Key != "k\xff" || o.Null ||
		o.TimestampMS != 1_700_000_000_123 || len(o.Headers) != 8 {
		t.Errorf("captured %+v", o)
	}
}

// What an input that is not ddpm's says of a record is not believed.
func TestMetadataIsNoOrigin(t *testing.T) {
	msg := service.NewMessage([]byte("{}"))
	for _, name := range []string{"kafka_topic", "kafka_partition", "kafka_offset"} {
		msg.MetaSetMut(name, 7)
	}
	builder := service.NewEnvironment().NewStreamBuilder()
	must(t, builder.SetLoggerYAML("level: OFF"))
	must(t, builder.AddProcessorYAML("ddpm_origin: {}"))
	found := false
	must(t, builder.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
		_, found = origin.From(m)
		return nil
	}))
	produce, err := builder.AddProducerFunc()
	must(t, err)
	stream, err := builder.Build()
	must(t, err)
	go func() { _ = stream.Run(context.Background()) }()
	defer func() { _ = stream.StopWithin(5 * time.Second) }()
	must(t, produce(context.Background(), msg))
	if found {
		t.Error("headers became an origin")
	}
}

func TestUserProcessorsLeaveTheOriginAlone(t *testing.T) {
	const payload = `{"list":[1,2,3],"text":"abc"}`
	for _, processor := range []string{
		`{mapping: 'root = {"other": this.text}'}`,
		`{mapping: 'meta = deleted()'}`,
		`{mapping: "meta kafka_offset = 7\nmeta kafka_topic = \"x\"\nroot = content().uppercase()"}`,
		`{mutation: 'root.list = this.list.map_each(n -> n * 2)'}`,
		`{mutation: 'root = deleted()'}`,
		`{mapping: 'root = content().encrypt_aes("ctr", "0123456789012345", "0123456789012345")'}`,
		`{mapping: 'root = throw("no")'}`,
		`{bloblang: 'root.x = meta("h").append("x")'}`,
		`{branch: {request_map: 'root = this.text', processors: [{mapping: 'root = content().uppercase()'}], result_map: 'root.up = content().string()'}}`,
		`{switch: [{check: 'this.text == "abc"', processors: [{mapping: 'root = {}'}]}]}`,
		`{for_each: [{mapping: 'root = "z"'}]}`,
		`{catch: [{mapping: 'root = "caught"'}]}`,
		`{while: {check: 'this.n.or(0) < 3', processors: [{mutation: 'root.n = this.n.or(0) + 1'}]}}`,
		`{compress: {algorithm: gzip}}`,
		`{insert_part: {content: more}}`,
		`{select_parts: {parts: [0]}}`,
		`{jmespath: {query: text}}`,
	} {
		r := record(payload)
		r.Headers = map[string][]string{"h": {"1"}}
		for _, msg := range process(t, []string{processor}, r) {
			o, ok := origin.From(msg)
			if !ok {
				if strings.Contains(processor, "insert_part") {
					continue // a message that a processor made up has no origin
				}
				t.Errorf("%s: the origin is lost", processor)
				continue
			}
			if string(o.Value) != payload || o.Offset != 1<<40 || o.Topic != "events" || len(o.Headers) != 1 ||
				!slices.Equal(o.Headers[0].Values, []string{"1"}) {
				t.Errorf("%s: the origin became %+v", processor, o)
			}
		}
	}
}

func TestParserNamesTheReason(t *testing.T) {
	for value, want := range map[string]string{
		"":                 "empty message",
		" \n":              "empty message",
		"{\"a\":\"\xff\"}": "invalid UTF-8 at byte 6",
		"hello":            "not JSON: expected a value but found 'h' at byte 0",
		`{"a":1`:           "not JSON: the document ends early at byte 6",
		"\uFEFF":           "empty message",
		"\uFEFF\uFEFF{}":   "not JSON",
		"\uFEFF{}":         "",
		`{"a":1}`:          "",
		`"scalar"`:         "",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000): "",
	} {
		msg := process(t, []string{"ddpm_json: {}"}, record(value))[0]
		err := msg.GetError()
		if (err != nil) != (want != "") {
			t.Errorf("%.40q: %v", value, err)
		}
		if err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"stage":"parse"`)) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
		if got, _ := msg.AsBytes(); string(got) != strings.TrimPrefix(value, "\uFEFF") {
			t.Errorf("%.40q became %.40q", value, got)
		}
	}
	tombstone := record("")
	tombstone.Value = nil
	if err := process(t, []string{"ddpm_json: {}"}, tombstone)[0].GetError(); err == nil || !strings.Contains(err.Error(), "tombstone") {
		t.Errorf("tombstone: %v", err)
	}
}

func TestParserServesManyThreads(t *testing.T) {
	s := enginetest.Start(t, []string{"ddpm_origin: {}", "ddpm_json: {}"}, deadLetters)
	batch := make([]enginetest.Record, 500)
	for i := range batch {
		batch[i] = record(`{"a": [[{"b": [{}, [], {"c": [1, 2, {"d": []}]}]}]], "e": {"f": {"g": [{}]}}}`)
	}
	var threads sync.WaitGroup
	for range 8 {
		threads.Go(func() {
			for range 20 {
				if err := s.Produce(context.Background(), batch...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	threads.Wait()
	if n := len(s.Dead.Sent()); n > 0 {
		t.Errorf("%d good documents were rejected", n)
	}
}

const deadLetters = `
fallback:
  - reject_errored:
      drop: {}
  - capture:
      key: ${! metadata("ddpm_key") }
      metadata: {exclude_prefixes: [ddpm_key]}
    processors:
      - ddpm_dead_letter: {pipeline: p1, sink: s1}
`

func deadLetter(t *testing.T, processors []string, records ...enginetest.Record) []enginetest.Sent {
	t.Helper()
	s := enginetest.Start(t, append([]string{"ddpm_origin: {}", "ddpm_json: {}"}, processors...), deadLetters)
	s.MustProduce(records...)
	return s.Dead.Sent()
}

func TestDeadLetterIsTheRecordWithItsReason(t *testing.T) {
	bad := record("\xff\x00not json")
	bad.Headers = map[string][]string{"h": {"\xfe"}, "ddpm.errors.sqlstate": {"forged"}, "ddpm_key": {"k"}}
	t.Setenv("DDPM_CONFIG_HASH", "0123456789ab")
	t.Setenv("DDPM_SOURCES", `{"events": 7}`)
	sent := deadLetter(t, nil, record("{}"), bad, record("{}"))
	if len(sent) != 1 {
		t.Fatalf("%d dead letters", len(sent))
	}
	got := sent[0]
	if got.Key != "k\xff" || string(got.Value) != "\xff\x00not json" {
		t.Errorf("key %q, value %q", got.Key, got.Value)
	}
	at, err := strconv.ParseInt(got.Headers[contract.HeaderFailedAt], 10, 64)
	must(t, err)
	if since := time.Since(time.UnixMilli(at)); since < -time.Second || since > time.Minute {
		t.Errorf("it says that it failed %v ago", since)
	}
	want := map[string]string{
		contract.HeaderFailedAt:         got.Headers[contract.HeaderFailedAt],
		contract.HeaderConfigHash:       "0123456789ab",
		contract.HeaderSource:           "7",
		"h":                             "\xfe",
		"original.ddpm.errors.sqlstate": "forged",
		"original.ddpm_key":             "k",
		contract.HeaderTopic:            "events",
		contract.HeaderPartition:        "3",
		contract.HeaderOffset:           "1099511627776",
		contract.HeaderPipeline:         "p1",
		contract.HeaderSink:             "s1",
		contract.HeaderStage:            "parse",
		contract.HeaderCode:             "invalid_utf8",
		contract.HeaderMessage:          "invalid UTF-8 at byte 0: 0xff",
		contract.HeaderTimestamp:        "1700000000123",
		contract.HeaderHeaders:          got.Headers[contract.HeaderHeaders],
	}
	if !maps.Equal(got.Headers, want) {
		t.Errorf("headers %q\nwant %q", got.Headers, want)
	}
	var pairs [][2]string
	must(t, json.Unmarshal([]byte(got.Headers[contract.HeaderHeaders]), &pairs))
	if len(pairs) != 3 || pairs[2] != [2]string{"h", "/g=="} {
		t.Errorf("the original headers are %q", pairs)
	}
}

func TestDeadLetterKeepsRepeatedHeaders(t *testing.T) {
	bad := record("x")
	bad.Headers = map[string][]string{"h": {"1", "2"}}
	got := deadLetter(t, nil, bad)[0].Headers
	if got["h"] != "2" || got[contract.HeaderHeaders] != `[["h","MQ=="],["h","Mg=="]]` {
		t.Errorf("headers %q", got)
	}
}

func TestDeadLetterTellsEmptyFromNull(t *testing.T) {
	empty, null := record(""), record("")
	null.Value = nil
	null.Key = ""
	sent := deadLetter(t, nil, empty, null)
	if sent[0].Value == nil || len(sent[0].Value) != 0 || sent[0].Headers[contract.HeaderNull] != "" {
		t.Errorf("empty became %v with %q", sent[0].Value, sent[0].Headers)
	}
	if sent[1].Value != nil || sent[1].Headers[contract.HeaderNull] != "true" || sent[1].Key != "" {
		t.Errorf("null became %v with %q, key %q", sent[1].Value, sent[1].Headers, sent[1].Key)
	}
}

func TestDeadLetterOfAFailedMapping(t *testing.T) {
	forged := `{"stage":"sink","code":"22P02","message":"forged"}`
	for _, n := range []int{1, 3} {
		records := make([]enginetest.Record, n)
		for i := range records {
			records[i] = record(`{"n":1}`)
		}
		records[n-1] = record(forged)
		sent := deadLetter(t, []string{`mapping: "meta = deleted()\nroot = if this.exists(\"code\") {throw(content().string())}"`}, records...)
		if len(sent) != 1 || string(sent[0].Value) != forged || sent[0].Headers[contract.HeaderStage] != "process" ||
			!strings.Contains(sent[0].Headers[contract.HeaderMessage], "forged") {
			t.Errorf("batch of %d: %q", n, sent)
		}
	}
}

func TestDeadLetterCutsLongTexts(t *testing.T) {
	long := record(`{"a":"` + strings.Repeat("ä", 5000) + `"}`)
	sent := deadLetter(t, []string{`mapping: 'root = throw(this.a)'`}, long)
	if n := len(sent[0].Headers[contract.HeaderMessage]); n < 900 || n > 1100 {
		t.Errorf("the message has %d bytes", n)
	}
	if string(sent[0].Value) != string(long.Value) {
		t.Error("the value is not the original")
	}
}

func TestDeadLetterWithoutOrigin(t *testing.T) {
	s := enginetest.Start(t, []string{"ddpm_json: {}"}, deadLetters)
	s.MustProduce(record("x"))
	got := s.Dead.Sent()[0]
	if got.Key != "k\xff" || string(got.Value) != "x" || got.Headers[contract.HeaderOffset] != "1099511627776" ||
		got.Headers[contract.HeaderCode] != "not_json" {
		t.Errorf("%q", got)
	}
}
