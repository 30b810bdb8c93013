package origin

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a record is not a JSON document.
const (
	codeNull    = "null_value"
	codeEmpty   = "empty"
	codeUTF8    = "invalid_utf8"
	codeNotJSON = "not_json"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Checks that messages are JSON documents in UTF-8, and leaves their bytes as they are, without a byte order mark.").
		Description("A message that is not fails with a reason that names the byte. Depth is not limited.").
		Field(service.NewObjectField("").Default(map[string]any{}))
	err := service.RegisterBatchProcessor("ddpm_json", spec,
		func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
			return &jsonCheck{scanners: sync.Pool{New: func() any { return &jsontext.Scanner{} }}}, nil
		})
	if err != nil {
		panic(err)
	}
}

// jsonCheck is shared by all threads of a pipeline; a scanner serves one batch at a time.
type jsonCheck struct {
	scanners sync.Pool
}

func (c *jsonCheck) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	if chunk, ok := ChunkOf(batch); ok {
		// The sink reads the documents anyway.
		chunk.Unchecked = true
		return []service.MessageBatch{batch}, nil
	}
	scanner := c.scanners.Get().(*jsontext.Scanner)
	defer c.scanners.Put(scanner)
	for _, msg := range batch {
		if msg.GetError() != nil {
			continue
		}
		if failure := check(scanner, msg); failure != nil {
			msg.SetError(failure)
		}
	}
	return []service.MessageBatch{batch}, nil
}

func (c *jsonCheck) Close(context.Context) error { return nil }

func check(scanner *jsontext.Scanner, msg *service.Message) *reason.Reason {
	if o, ok := From(msg); ok && o.Null {
		return Tombstone()
	}
	marked, err := msg.AsBytes()
	if err != nil {
		return parseFailure(codeNotJSON, err.Error())
	}
	doc, failure := Text(marked)
	if len(doc) < len(marked) {
		msg.SetBytes(doc)
	}
	if failure != nil {
		return failure
	}
	if err := scanner.Validate(doc); err != nil {
		return NotJSON(err)
	}
	return nil
}

// Text returns a document without a byte order mark, and why it cannot be JSON if it is empty, or not UTF-8.
func Text(doc []byte) ([]byte, *reason.Reason) {
	doc = jsontext.WithoutMark(doc)
	if len(bytes.TrimSpace(doc)) == 0 {
		return doc, parseFailure(codeEmpty, "empty message: there is no JSON document")
	}
	if at := jsontext.InvalidUTF8(doc); at >= 0 {
		return doc, parseFailure(codeUTF8, fmt.Sprintf("invalid UTF-8 at byte %d: 0x%02x", at, doc[at]))
	}
	return doc, nil
}

// NotJSON is the reason of a document that a scanner of jsontext refuses.
func NotJSON(err error) *reason.Reason {
	return parseFailure(codeNotJSON, "not JSON: "+err.Error())
}

// Tombstone is the reason of a record with a null value, which is not a document.
func Tombstone() *reason.Reason { return parseFailure(codeNull, tombstoneMessage) }

func parseFailure(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
