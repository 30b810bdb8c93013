package origin

import (
	"context"
	"encoding/json"

	"github.com/warpstreamlabs/bento/public/service"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Turns a line of JSON back into a record that was consumed once, under the identity that it had.").
		Description(`
Stands in the place of ` + "`ddpm_origin`" + ` behind an input of lines that ddpm writes. A line that is not of that form
ends the engine: who writes them is ddpm, and what is not acknowledged is fed again.`).
		Field(service.NewObjectField("").Default(map[string]any{}))
	err := service.RegisterBatchProcessor("ddpm_again", spec,
		func(_ *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
			return &again{mgr.Logger()}, nil
		})
	if err != nil {
		panic(err)
	}
}

// fed is a line. Bytes are in base64; a value of null is a tombstone. Source, if any, is the number of the incarnation of
// the topic that the record belongs to; Attempt is for the header of its dead letter, if it becomes one.
type fed struct {
	Topic       string `json:"topic"`
	Partition   int    `json:"partition"`
	Offset      int    `json:"offset"`
	TimestampMS *int64 `json:"timestamp_ms"`
	Key         []byte `json:"key"`
	Value       []byte `json:"value"`
	Headers     []struct {
		Name  string `json:"name"`
		Value []byte `json:"value"`
	} `json:"headers"`
	Source  *int64 `json:"source"`
	Attempt int    `json:"attempt"`
}

type again struct {
	log *service.Logger
}

func (a *again) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, len(batch))
	for i, line := range batch {
		msg, err := readLine(line)
		if err != nil {
			a.log.Errorf("what was fed cannot be read: %v", err)
			// Whatever was returned would be acknowledged or become a dead letter.
			select {}
		}
		out[i] = msg
	}
	return []service.MessageBatch{out}, nil
}

func (a *again) Close(context.Context) error { return nil }

// readLine makes of a line what the kafka input and ddpm_origin would have made of the record.
func readLine(line *service.Message) (*service.Message, error) {
	text, err := line.AsBytes()
	if err != nil {
		return nil, err
	}
	var f fed
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	msg := line.Copy()
	msg.SetBytes(f.Value)
	values := map[string][]any{}
	for _, header := range f.Headers {
		values[header.Name] = append(values[header.Name], string(header.Value))
	}
	for name, all := range values {
		msg.MetaSetMut(name, all)
	}
	ms := int64(zeroTimeMS)
	if f.TimestampMS != nil && *f.TimestampMS >= 0 {
		ms = *f.TimestampMS
	}
	msg.MetaSetMut("kafka_key", string(f.Key))
	msg.MetaSetMut("kafka_partition", f.Partition)
	msg.MetaSetMut("kafka_topic", f.Topic)
	msg.MetaSetMut("kafka_offset", f.Offset)
	msg.MetaSetMut("kafka_lag", int64(0))
	msg.MetaSetMut("kafka_timestamp_unix", ms/1000)
	msg.MetaSetMut("kafka_timestamp_unix_ms", ms)
	msg.MetaSetMut("kafka_tombstone_message", f.Value == nil)
	o := Origin{}
	read(msg, &o)
	if f.Source != nil {
		o.Source, o.HasSource = *f.Source, true
	}
	o.Attempt = f.Attempt
	return Attach(msg, o), nil
}
