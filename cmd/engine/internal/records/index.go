package records

import (
	"context"
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
)

func init() {
	spec := service.NewConfigSpec().Categories("ddpm").
		Summary("Distinguishes the messages that other processors made of one record.").
		Description("Without it, only one of them could be stored: they would all have the record's identity.").
		Field(service.NewBoolField("many").
			Description("Whether a record may become any number of messages; else one that did not stay one fails."))
	register("ddpm_index", spec, func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
		many, err := conf.FieldBool("many")
		return indexer{many}, err
	})
}

type indexer struct {
	many bool
}

// place names a record of a batch.
type place struct {
	topic     string
	partition int
	offset    int64
}

func (x indexer) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	total := map[place]int{}
	for _, msg := range batch {
		total[placeOf(msg)]++
	}
	seen := map[place]int{}
	out := make(service.MessageBatch, 0, len(batch))
	for _, msg := range batch {
		at := placeOf(msg)
		index := seen[at]
		seen[at]++
		switch {
		case x.many:
			out = append(out, x.numbered(msg, index))
		case total[at] == 1:
			out = append(out, msg)
		case index == 0:
			msg.SetError(parseFailure(codeNotOne, fmt.Sprintf(
				"the parser made %d documents of the record; only one with `many = True` may", total[at])))
			out = append(out, msg)
		}
	}
	return []service.MessageBatch{out}, nil
}

// numbered gives a message its index; a record that failed as a whole has none.
func (x indexer) numbered(msg *service.Message, index int) *service.Message {
	if msg.GetError() != nil {
		return msg
	}
	o := *originOf(msg)
	o.Index, o.HasIndex = index, true
	return origin.Attach(msg, o)
}

func (indexer) Close(context.Context) error { return nil }

func placeOf(msg *service.Message) place {
	o := originOf(msg)
	return place{o.Topic, o.Partition, o.Offset}
}
