package origin

import (
	"context"
	"errors"
	"slices"

	"github.com/warpstreamlabs/bento/public/service"
)

// What becomes of records with a null value.
const (
	tombstonesDead = "dead_letter"
	tombstonesSkip = "skip"
	tombstonesPass = "pass"
)

const tombstoneMessage = "tombstone: the record has a null value"

// errPassed keeps parsers from a tombstone that goes on, as the error of a record that failed would. The processor behind the
// parser takes it away.
var errPassed = errors.New(tombstoneMessage)

func init() {
	before := service.NewConfigSpec().Categories("ddpm").
		Summary("Says what becomes of records with a null value, in front of the parser.").
		Description("Must follow `ddpm_origin`. What passes needs `ddpm_tombstones_passed` behind the parser.").
		Field(service.NewStringEnumField("action", tombstonesDead, tombstonesSkip, tombstonesPass).
			Description("They fail; they are dropped, and their offsets are committed; or they become the document null."))
	err := service.RegisterBatchProcessor("ddpm_tombstones", before,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			action, err := conf.FieldString("action")
			return tombstones{action}, err
		})
	if err != nil {
		panic(err)
	}
	behind := service.NewConfigSpec().Categories("ddpm").
		Summary("Makes the document null of the records with a null value that pass, behind the parser.").
		Field(service.NewBoolField("many").Description("Whether the parser gives documents a place within their record."))
	err = service.RegisterBatchProcessor("ddpm_tombstones_passed", behind,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			many, err := conf.FieldBool("many")
			return tombstonesPassed{many}, err
		})
	if err != nil {
		panic(err)
	}
}

type tombstones struct{ action string }

func (t tombstones) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	if chunk, ok := ChunkOf(batch); ok {
		if t.chunk(chunk); len(chunk.Records) == 0 {
			return nil, nil
		}
		return []service.MessageBatch{batch}, nil
	}
	out := make(service.MessageBatch, 0, len(batch))
	for _, msg := range batch {
		if o, ok := From(msg); !ok || !o.Null {
			out = append(out, msg)
			continue
		}
		switch t.action {
		case tombstonesSkip:
			// The one place where a tombstone is dropped.
			continue
		case tombstonesPass:
			// Of a copy, the engine does not count an error.
			msg = msg.Copy()
			msg.SetError(errPassed)
		default:
			msg.SetError(Tombstone())
		}
		out = append(out, msg)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

func (t tombstones) chunk(chunk *Chunk) {
	if t.action == tombstonesSkip {
		chunk.Records = slices.DeleteFunc(chunk.Records, func(r Record) bool { return r.Origin.Null })
		return
	}
	for i := range chunk.Records {
		switch r := &chunk.Records[i]; {
		case !r.Origin.Null:
		case t.action == tombstonesPass:
			r.Document, r.Parsed = []byte("null"), true
		default:
			r.Failure = Tombstone()
		}
	}
}

func (tombstones) Close(context.Context) error { return nil }

type tombstonesPassed struct{ many bool }

func (t tombstonesPassed) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	if chunk, ok := ChunkOf(batch); ok {
		for i := range chunk.Records {
			if r := &chunk.Records[i]; r.Origin.Null && r.Parsed && t.many {
				r.Origin.Index, r.Origin.HasIndex = 0, true
			}
		}
		return []service.MessageBatch{batch}, nil
	}
	for i, msg := range batch {
		batch[i] = passed(msg, t.many)
	}
	return []service.MessageBatch{batch}, nil
}

func (tombstonesPassed) Close(context.Context) error { return nil }

func passed(msg *service.Message, many bool) *service.Message {
	if !errors.Is(msg.GetError(), errPassed) {
		return msg
	}
	msg = msg.Copy()
	msg.SetError(nil)
	msg.SetBytes([]byte("null"))
	if o, ok := From(msg); ok && many {
		one := *o
		one.Index, one.HasIndex = 0, true
		return Attach(msg, one)
	}
	return msg
}
