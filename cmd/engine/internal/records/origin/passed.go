package origin

import (
	"context"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/runtime/audit"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Counts what is left of the documents behind processors that may drop some.").
		Description("Belongs behind the last of them. The messages stay as they are.").
		Field(service.NewObjectField("").Default(map[string]any{}))
	err := service.RegisterBatchProcessor("ddpm_passed", spec,
		func(_ *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
			ledger := audit.Of(mgr)
			ledger.Has(audit.Passed)
			return passing{ledger}, nil
		})
	if err != nil {
		panic(err)
	}
}

type passing struct{ ledger *audit.Ledger }

func (p passing) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	EachPage(batch, func(page *audit.Page, from, to int) { p.ledger.Reached(audit.Passed, page, to-from) })
	return []service.MessageBatch{batch}, nil
}

func (passing) Close(context.Context) error { return nil }
