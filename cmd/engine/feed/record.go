package feed

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
)

// record is a line of the input: a Kafka record with the place that it came from.
type record struct {
	Topic       string   `json:"topic"`
	Partition   int      `json:"partition"`
	Offset      int64    `json:"offset"`
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

func (r *record) size() int {
	bytes := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		bytes += len(h.Name) + len(h.Value)
	}
	return bytes
}

// message returns the record as the engine's own input would hand it on.
func (r *record) message() *service.Message {
	o := origin.Origin{
		Topic:     r.Topic,
		Partition: r.Partition,
		Offset:    r.Offset,
		Key:       string(r.Key),
		EmptyKey:  r.Key != nil && len(r.Key) == 0,
		Value:     r.Value,
		Null:      r.Value == nil,
		Source:    r.Source,
		Attempt:   r.Attempt,
	}
	if r.TimestampMS != nil {
		o.TimestampMS, o.HasTimestamp = *r.TimestampMS, true
	}
	o.SetHeaders(len(r.Headers), func(i int) (name, value string) { return r.Headers[i].Name, string(r.Headers[i].Value) })
	return origin.Message(o)
}
