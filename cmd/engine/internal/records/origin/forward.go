package origin

import (
	"context"
	"strings"

	"github.com/warpstreamlabs/bento/public/service"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Prepares messages for a kafka output that passes records on under their original key.").
		Description(`
Belongs to the ` + "`processors`" + ` of a kafka output. Puts the record's key into the metadata ` + "`" + KeyMetadata + "`" + `,
whatever a mapping did to the metadata, removes what the input added, and turns headers, which are lists,
back into plain values: of a repeated header the last one. Metadata that a mapping has set stays.`).
		Field(service.NewObjectField("").Default(map[string]any{}))
	err := service.RegisterBatchProcessor("ddpm_forward", spec,
		func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
			return forward{}, nil
		})
	if err != nil {
		panic(err)
	}
}

type forward struct{}

func (forward) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, len(batch))
	for i, msg := range batch {
		out[i] = msg.Copy()
		plainMetadata(out[i])
		o, ok := From(msg)
		if !ok {
			o = &Origin{}
		}
		setKey(out[i], o)
	}
	return []service.MessageBatch{out}, nil
}

// setKey puts a record's key where an output finds it.
func setKey(msg *service.Message, o *Origin) {
	msg.MetaSetMut(KeyMetadata, o.Key)
	if o.EmptyKey {
		msg.MetaSetMut(EmptyKeyMetadata, "true")
	}
}

func (forward) Close(context.Context) error { return nil }

func plainMetadata(msg *service.Message) {
	last := map[string]string{}
	var drop []string
	_ = msg.MetaWalkMut(func(name string, value any) error {
		if strings.HasPrefix(name, "kafka_") {
			drop = append(drop, name)
			return nil
		}
		if _, isList := value.([]any); isList {
			if values := texts(value); len(values) > 0 {
				last[name] = values[len(values)-1]
			}
		}
		return nil
	})
	for _, name := range drop {
		msg.MetaDelete(name)
	}
	for name, value := range last {
		msg.MetaSetMut(name, value)
	}
}
