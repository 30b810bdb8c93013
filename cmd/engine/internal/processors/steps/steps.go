// Package steps is the processor ddpm_steps: it runs a user's mappings on batches that travel as one message.
package steps

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/warpstreamlabs/bento/public/bloblang"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Runs mappings on a batch that travels as one message, as mappings within `try` would on a message for each record.").
		Description(`
Belongs behind the parser of a pipeline with a `+"`direct`"+` input. The mappings must look at nothing but the document: what a
message has besides (metadata, its bytes as they are, its batch) is not there, and functions that ask for it are unknown.`).
		Fields(
			service.NewStringListField("mappings").Description("The mappings, in their order."),
			service.NewBoolField("guarded").
				Description("Whether records fail in which a mapping would replace text that is not UTF-8.").Default(true),
		)
	err := service.RegisterBatchProcessor("ddpm_steps", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			texts, err := conf.FieldStringList("mappings")
			if err != nil {
				return nil, err
			}
			guarded, err := conf.FieldBool("guarded")
			if err != nil {
				return nil, err
			}
			return build(texts, guarded)
		})
	if err != nil {
		panic(err)
	}
}

// ofMessages are the functions that ask for more than a document.
var ofMessages = []string{
	"batch_index", "batch_size", "content", "error", "error_source_label", "error_source_name", "error_source_path",
	"error_source_type", "errored", "flow_id", "json", "meta", "metadata", "root_meta", "tracing_id", "tracing_span",
}

type steps struct {
	mappings []*bloblang.Executor
	guarded  bool
}

func build(texts []string, guarded bool) (*steps, error) {
	env := bloblang.GlobalEnvironment().WithoutFunctions(ofMessages...)
	s := &steps{guarded: guarded}
	for i, text := range texts {
		mapping, err := env.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("mapping %d: %w", i, err)
		}
		s.mappings = append(s.mappings, mapping)
	}
	return s, nil
}

func (s *steps) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	chunk, ok := origin.ChunkOf(batch)
	if !ok {
		return nil, errors.New("ddpm_steps needs an input that is direct")
	}
	var scanner jsontext.Scanner
	kept := chunk.Records[:0]
	for i := range chunk.Records {
		r := &chunk.Records[i]
		if r.Failure == nil && chunk.Unchecked {
			check(&scanner, r)
		}
		if r.Failure != nil || s.run(r) {
			kept = append(kept, *r)
		}
	}
	clear(chunk.Records[len(kept):])
	chunk.Records, chunk.Unchecked = kept, false
	if len(kept) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{batch}, nil
}

func (s *steps) Close(context.Context) error { return nil }

// check does what the parser of JSON leaves to the first reader of a document.
func check(scanner *jsontext.Scanner, r *origin.Record) {
	if r.Origin.Null && !r.Parsed {
		r.Failure = origin.Tombstone()
		return
	}
	if r.Document, r.Failure = origin.Text(r.Document); r.Failure != nil {
		return
	}
	if err := scanner.Validate(r.Document); err != nil {
		r.Failure = origin.NotJSON(err)
	}
}

// run applies all mappings to a record, and reports whether they leave it.
func (s *steps) run(r *origin.Record) bool {
	signs := 0
	if s.guarded {
		if signs, r.Failure = origin.BeforeMapping(r.Document); r.Failure != nil {
			return true
		}
	}
	value, err := jsontext.Tree(r.Document)
	if err != nil || !nested(value) {
		return s.asMessage(r, 0, signs)
	}
	changed := false
	for i, mapping := range s.mappings {
		result, err := mapping.Query(value)
		switch {
		case errors.Is(err, bloblang.ErrRootDeleted):
			return false
		case err != nil:
			r.Failure = origin.FailedStep(i, err)
			return true
		case same(result, value):
			continue
		}
		value, changed = result, true
		switch text := value.(type) {
		case string:
			r.Document = []byte(text)
			return s.asMessage(r, i+1, signs)
		case []byte:
			r.Document = text
			return s.asMessage(r, i+1, signs)
		}
	}
	if changed {
		if r.Document, err = jsontext.AppendTree(make([]byte, 0, len(r.Document)+len(r.Document)/4), value); err != nil {
			r.Failure = reason.New(reason.StageProcess, "processor_failed", "the result is not JSON: "+err.Error())
			return true
		}
	}
	s.guard(r, signs)
	return true
}

func (s *steps) guard(r *origin.Record, signs int) {
	if s.guarded {
		r.Failure = origin.AfterMapping(r.Document, signs)
	}
}

// asMessage applies the mappings from one on to a message of the record: for documents that are a scalar, or a text that no
// longer is a document, only the engine itself knows what a mapping makes of them.
func (s *steps) asMessage(r *origin.Record, from, signs int) bool {
	msg := service.NewMessage(r.Document)
	for i := from; i < len(s.mappings); i++ {
		next, err := msg.BloblangQuery(s.mappings[i])
		if err != nil {
			r.Failure = origin.FailedStep(i, err)
			return true
		}
		if next == nil {
			return false
		}
		msg = next
	}
	doc, err := msg.AsBytes()
	if err != nil {
		r.Failure = reason.New(reason.StageProcess, "processor_failed", "the result has no bytes: "+err.Error())
		return true
	}
	r.Document = doc
	s.guard(r, signs)
	return true
}

func nested(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// same reports whether a mapping has handed an object or a list back untouched: one that assigns nothing to its root does.
func same(result, value any) bool {
	if !nested(result) {
		return false
	}
	a, b := reflect.ValueOf(result), reflect.ValueOf(value)
	return a.Kind() == b.Kind() && a.UnsafePointer() == b.UnsafePointer() && a.Len() == b.Len()
}
