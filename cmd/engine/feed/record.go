package feed

import (
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
)

// record is a line of the input: a Kafka record with the place that it came from.
type record struct {
	Topic       string   `json:"topic"`
	Partition   int      `json:"partition"`
	Offset      int      `json:"offset"`
	TimestampMS *int64   `json:"timestamp_ms"`
	Key         []byte   `json:"key"`
	Value       []byte   `json:"value"`
	Headers     []header `json:"headers"`
	Source      *int64   `json:"source"`
	Attempt     int      `json:"attempt"`
}

type header struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

func (r *record) size() int { return len(r.Key) + len(r.Value) }

// message returns what the kafka input makes of the record with multi_header: its headers first, and
// what it says itself, which no header can stand for, after them.
func (r *record) message() *service.Message {
	msg := service.NewMessage(r.Value)
	headers := map[string][]any{}
	for _, h := range r.Headers {
		headers[h.Name] = append(headers[h.Name], string(h.Value))
	}
	for name, values := range headers {
		msg.MetaSetMut(name, values)
	}
	at := time.Time{}
	if r.TimestampMS != nil {
		at = time.UnixMilli(*r.TimestampMS)
	}
	msg.MetaSetMut("kafka_key", string(r.Key))
	msg.MetaSetMut("kafka_partition", r.Partition)
	msg.MetaSetMut("kafka_topic", r.Topic)
	msg.MetaSetMut("kafka_offset", r.Offset)
	msg.MetaSetMut("kafka_lag", int64(0))
	msg.MetaSetMut("kafka_timestamp_unix", at.Unix())
	msg.MetaSetMut("kafka_timestamp_unix_ms", at.UnixMilli())
	msg.MetaSetMut("kafka_tombstone_message", r.Value == nil)
	return origin.Annotate(msg, origin.Note{Source: r.Source, Attempt: r.Attempt})
}
