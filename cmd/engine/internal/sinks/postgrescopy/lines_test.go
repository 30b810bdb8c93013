package postgrescopy_test

import (
	"bytes"
	"context"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records"
	"ddpm/engine/internal/records/reason"
)

// lines is a parser of many documents a record, one on each line.
type lines struct{}

func (lines) Decode(_ context.Context, payload []byte, yield records.Yield) (*reason.Reason, error) {
	for line := range bytes.Lines(payload) {
		if !yield(bytes.Clone(bytes.TrimSpace(line)), nil) {
			return nil, nil
		}
	}
	return nil, nil
}

func init() {
	records.Register("test_lines", service.NewConfigSpec().Field(service.NewObjectField("").Default(map[string]any{})),
		func(*service.ParsedConfig, *service.Resources) (records.Decoder, error) { return lines{}, nil }, true)
}
