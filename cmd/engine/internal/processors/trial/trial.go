// Package trial runs single records through a pipeline's own processors and answers with every step.
package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sinks/postgrescopy"
)

// What becomes of a document.
const (
	written    = "written"
	filtered   = "filtered"
	deadLetter = "dead_letter"
)

// headBytes is how much of a record an answer repeats.
const headBytes = 256

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Runs records through a pipeline's processors and answers with every step.").
		Description(`
A message is a record in JSON: `+"`record`"+` (a number that the answer repeats), `+"`payload`"+` (base64, or null for a
tombstone), `+"`topic`, `partition`, `offset`, `key`, `headers`"+` (name to a list of values) and `+"`timestamp_ms`"+`. It becomes one
message, the answer: the record's documents behind the parser and behind the processors, what the columns
would hold, or the reason of the dead letter. Every record is a batch of its own.`).
		Fields(
			service.NewProcessorListField("origin").Description("Captures the record."),
			service.NewProcessorListField("parser").Description("Turns the record into documents."),
			service.NewProcessorListField("processors").Description("The user's steps."),
			service.NewIntField("limit").Description("Of more documents, only those that would be dead letters are in the answer."),
			postgrescopy.PreviewField(),
		)
	if err := service.RegisterBatchProcessor("ddpm_trial", spec, build); err != nil {
		panic(err)
	}
}

type trial struct {
	reading []*service.OwnedProcessor
	steps   []*service.OwnedProcessor
	limit   int
	preview *postgrescopy.Preview
}

func build(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
	t := &trial{}
	capturing, err := conf.FieldProcessorList("origin")
	if err != nil {
		return nil, err
	}
	parsing, err := conf.FieldProcessorList("parser")
	if err != nil {
		return nil, err
	}
	t.reading = append(capturing, parsing...)
	if t.steps, err = conf.FieldProcessorList("processors"); err != nil {
		return nil, err
	}
	if t.limit, err = conf.FieldInt("limit"); err != nil {
		return nil, err
	}
	t.preview, err = postgrescopy.NewPreview(conf)
	return t, err
}

// answer is what is said about a record. Documents keep the digits of their numbers.
type answer struct {
	Record    int64      `json:"record"`
	Size      int        `json:"size"`
	Head      []byte     `json:"head"`
	Documents []document `json:"documents"`
	// LeftOut counts the documents above the limit.
	LeftOut int `json:"left_out,omitempty"`
}

// document is one of a record's documents, or the record as a whole if it has none. A message that is
// not JSON, or too deep for this package's encoder, stands in the field of bytes.
type document struct {
	Index         *int                `json:"index,omitempty"`
	Outcome       string              `json:"outcome"`
	Parsed        json.RawMessage     `json:"parsed,omitempty"`
	ParsedBytes   []byte              `json:"parsed_bytes,omitempty"`
	Document      json.RawMessage     `json:"document,omitempty"`
	DocumentBytes []byte              `json:"document_bytes,omitempty"`
	Columns       []postgrescopy.Cell `json:"columns,omitempty"`
	Reason        *reason.Reason      `json:"reason,omitempty"`
}

type place struct{}

func (t *trial) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, len(batch))
	for i, msg := range batch {
		text, err := msg.AsBytes()
		if err != nil {
			return nil, err
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, err
		}
		said, err := t.try(ctx, &r)
		if err != nil {
			return nil, err
		}
		out[i] = service.NewMessage(said)
	}
	return []service.MessageBatch{out}, nil
}

func (t *trial) try(ctx context.Context, r *record) ([]byte, error) {
	parsed, err := execute(ctx, t.reading, service.MessageBatch{r.message()})
	if err != nil {
		return nil, err
	}
	documents := make([]document, len(parsed))
	for i, msg := range parsed {
		documents[i] = before(msg)
		parsed[i] = msg.WithContext(context.WithValue(msg.Context(), place{}, i))
	}
	if len(parsed) == 0 && r.Payload == nil {
		// A tombstone that is skipped has no document, and is not without a trace.
		documents = []document{{Outcome: filtered}}
	}
	processed, err := execute(ctx, t.steps, parsed)
	if err != nil {
		return nil, err
	}
	for _, msg := range processed {
		if i, ok := msg.Context().Value(place{}).(int); ok {
			t.after(&documents[i], msg)
		}
	}
	return encoded(t.answer(r, documents))
}

func execute(ctx context.Context, steps []*service.OwnedProcessor, batch service.MessageBatch) (service.MessageBatch, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	batches, err := service.ExecuteProcessors(ctx, steps, batch)
	var out service.MessageBatch
	for _, each := range batches {
		out = append(out, each...)
	}
	return out, err
}

// before says what a document was behind the parser. Until it is seen again it counts as filtered.
func before(msg *service.Message) document {
	d := document{Outcome: filtered}
	if o, ok := origin.From(msg); ok && o.HasIndex {
		d.Index = &o.Index
	}
	if msg.GetError() == nil {
		d.Parsed, d.ParsedBytes = content(msg)
	}
	return d
}

func (t *trial) after(d *document, msg *service.Message) {
	d.Outcome = written
	if msg.GetError() != nil {
		d.Reason = origin.CauseOf(msg)
	} else {
		d.Document, d.DocumentBytes = content(msg)
		if t.preview != nil {
			d.Columns, d.Reason = t.preview.Row(msg)
		}
	}
	if d.Reason != nil {
		d.Outcome = deadLetter
	}
}

func (t *trial) answer(r *record, documents []document) *answer {
	a := &answer{Record: r.Record, Size: len(r.Payload), Head: r.Payload, Documents: []document{}}
	if len(r.Payload) > headBytes {
		a.Head = r.Payload[:headBytes]
	}
	for i, d := range documents {
		if i < t.limit || d.Reason != nil {
			a.Documents = append(a.Documents, d)
		} else {
			a.LeftOut++
		}
	}
	return a
}

func content(msg *service.Message) (json.RawMessage, []byte) {
	text, err := msg.AsBytes()
	if err != nil {
		return nil, []byte(err.Error())
	}
	text = bytes.Clone(text)
	if utf8.Valid(text) && json.Valid(text) {
		return text, nil
	}
	return nil, text
}

func encoded(a *answer) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

func (t *trial) Close(ctx context.Context) error {
	for _, each := range append(t.reading, t.steps...) {
		if err := each.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}
