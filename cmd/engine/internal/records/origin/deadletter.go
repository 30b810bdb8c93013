package origin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/reason"
)

// KeyMetadata is the metadata that holds a dead letter's Kafka key. The kafka output reads it for
// its key field and must exclude this prefix from the headers.
const KeyMetadata = "ddpm_key"

// EmptyKeyMetadata is there only for a record whose key is empty: one without a key has the same KeyMetadata.
const EmptyKeyMetadata = KeyMetadata + "_empty"

// Environment variables through which ddpm says what the configuration does not say of itself: its
// hash, and the number of each topic's incarnation (the one that postgres_copy reads too).
const (
	configHashEnv = contract.EnvConfigHash
	sourcesEnv    = contract.EnvSources
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Turns a rejected message back into the record that it was, with the reason in headers.").
		Description(`
Belongs to the ` + "`processors`" + ` of a dead-letter output behind ` + "`fallback`" + `. Restores the original
bytes and headers, removes all other metadata, and adds the reason, stage and origin as metadata. The
key is in the metadata ` + "`" + KeyMetadata + "`" + `, which the output must not send as a header.`).
		Field(service.NewStringField("pipeline").Description("The name of the pipeline, for the dead letter's headers.")).
		Field(service.NewStringField("sink").
			Description("The name of the sink that did not get the record, likewise; empty where none of several got it.").Default(""))
	err := service.RegisterBatchProcessor("ddpm_dead_letter", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			pipeline, err := conf.FieldString("pipeline")
			if err != nil {
				return nil, err
			}
			sink, err := conf.FieldString("sink")
			return &deadLetter{pipeline, sink, os.Getenv(configHashEnv), sources(os.Getenv(sourcesEnv))}, err
		})
	if err != nil {
		panic(err)
	}
}

type deadLetter struct {
	pipeline   string
	sink       string
	configHash string
	sources    map[string]int
}

// sources reads the numbers of the topics' incarnations; a pipeline without a table has none.
func sources(text string) map[string]int {
	numbers := map[string]int{}
	if err := json.Unmarshal([]byte(text), &numbers); err != nil {
		return nil
	}
	return numbers
}

func (d *deadLetter) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	if chunk, ok := ChunkOf(batch); ok {
		batch = chunk.Failed()
	}
	out := make(service.MessageBatch, len(batch))
	for i, msg := range batch {
		out[i] = d.restore(msg)
	}
	return []service.MessageBatch{out}, nil
}

func (d *deadLetter) Close(context.Context) error { return nil }

func (d *deadLetter) restore(rejected *service.Message) *service.Message {
	cause := CauseOf(rejected)
	o, known := From(rejected)
	letter := rejected.Copy()
	letter.SetError(nil)
	wipe(letter)
	if known {
		letter.SetBytes(o.Value)
	} else {
		o = &Origin{}
	}
	ours := d.headers(o, cause)
	for name, value := range ours {
		letter.MetaSetMut(name, value)
	}
	setHeaders(letter, o.Headers, ours)
	setKey(letter, o)
	return letter
}

func (d *deadLetter) headers(o *Origin, cause *reason.Reason) map[string]string {
	headers := map[string]string{
		contract.HeaderPipeline: d.pipeline,
		contract.HeaderStage:    cause.Stage,
		contract.HeaderCode:     cause.Code,
		contract.HeaderMessage:  cause.Message,
		contract.HeaderFailedAt: strconv.FormatInt(time.Now().UnixMilli(), 10),
	}
	if d.sink != "" {
		headers[contract.HeaderSink] = d.sink
	}
	if d.configHash != "" {
		headers[contract.HeaderConfigHash] = d.configHash
	}
	if o.Source != nil {
		headers[contract.HeaderSource] = strconv.FormatInt(*o.Source, 10)
	} else if source, ok := d.sources[o.Topic]; ok {
		headers[contract.HeaderSource] = strconv.Itoa(source)
	}
	if o.Attempt > 1 {
		headers[contract.HeaderAttempt] = strconv.Itoa(o.Attempt)
	}
	if o.Topic != "" {
		headers[contract.HeaderTopic] = o.Topic
		headers[contract.HeaderPartition] = strconv.Itoa(o.Partition)
		headers[contract.HeaderOffset] = strconv.FormatInt(o.Offset, 10)
	}
	if o.HasTimestamp {
		headers[contract.HeaderTimestamp] = strconv.FormatInt(o.TimestampMS, 10)
	}
	if cause.SQLState != "" {
		headers[contract.HeaderSQLState] = cause.SQLState
	}
	if cause.Column != "" {
		headers[contract.HeaderColumn] = cause.Column
	}
	if o.Null {
		headers[contract.HeaderNull] = "true"
	}
	if o.HasIndex {
		headers[contract.HeaderIndex] = strconv.Itoa(o.Index)
	}
	if !plain(o.Headers) {
		headers[contract.HeaderHeaders] = encodeHeaders(o.Headers)
	}
	return headers
}

// CauseOf finds the reason of a rejection. An error of ours that a processor left on the message is
// believed by its Go type and the sink's by its text, which no processor can write; everything else
// is the text of a user's processor.
func CauseOf(msg *service.Message) *reason.Reason {
	if err := msg.GetError(); err != nil {
		var typed *reason.Reason
		if errors.As(err, &typed) {
			return typed
		}
		return reason.New(reason.StageProcess, codeProcessor, stepOf(msg).described(err.Error()))
	}
	text, _ := msg.MetaGet("fallback_error")
	if parsed, ok := reason.Parse(text); ok {
		return parsed
	}
	return reason.New(reason.StageSink, "unknown", text)
}

func wipe(msg *service.Message) {
	var names []string
	_ = msg.MetaWalkMut(func(name string, _ any) error {
		names = append(names, name)
		return nil
	})
	for _, name := range names {
		msg.MetaDelete(name)
	}
}

// setHeaders gives a dead letter the record's own headers, of a repeated one the last value, which
// is the one that Kafka's clients take.
func setHeaders(letter *service.Message, headers []Header, ours map[string]string) {
	taken := make(map[string]bool, len(ours)+len(headers))
	for name := range ours {
		taken[name] = true
	}
	for _, h := range headers {
		if !reserved(h.Name) {
			taken[h.Name] = true
		}
	}
	for _, h := range headers {
		if len(h.Values) == 0 {
			continue
		}
		name := h.Name
		for reserved(h.Name) && (name == h.Name || taken[name]) {
			name = contract.Displaced + name
		}
		taken[name] = true
		letter.MetaSetMut(name, h.Values[len(h.Values)-1])
	}
}

var ourHeaders = map[string]bool{
	contract.HeaderTopic: true, contract.HeaderPartition: true, contract.HeaderOffset: true, contract.HeaderPipeline: true, contract.HeaderSink: true,
	contract.HeaderStage: true,
	contract.HeaderCode:  true, contract.HeaderMessage: true, contract.HeaderSQLState: true, contract.HeaderColumn: true, contract.HeaderTimestamp: true,
	contract.HeaderNull: true, contract.HeaderIndex: true, contract.HeaderHeaders: true, contract.HeaderFailedAt: true, contract.HeaderConfigHash: true,
	contract.HeaderSource: true, contract.HeaderAttempt: true, contract.HeaderCut: true,
}

// IsOurs distinguishes a header of a dead letter from those of its record.
func IsOurs(name string) bool { return ourHeaders[name] }

func reserved(name string) bool {
	return ourHeaders[name] || strings.HasPrefix(name, KeyMetadata)
}

// plain reports whether a dead letter's headers can hold a record's own as they are.
func plain(headers []Header) bool {
	for _, h := range headers {
		if len(h.Values) != 1 || reserved(h.Name) {
			return false
		}
	}
	return true
}

func encodeHeaders(headers []Header) string {
	sorted := append([]Header(nil), headers...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	pairs := [][2]string{}
	for _, h := range sorted {
		for _, value := range h.Values {
			pairs = append(pairs, [2]string{h.Name, base64.StdEncoding.EncodeToString([]byte(value))})
		}
	}
	text, err := json.Marshal(pairs)
	if err != nil {
		return ""
	}
	return string(text)
}
