package trial

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
)

// record is a record of a topic as it would be consumed.
type record struct {
	Record      int64               `json:"record"`
	Payload     []byte              `json:"payload"`
	Topic       string              `json:"topic"`
	Partition   int                 `json:"partition"`
	Offset      int64               `json:"offset"`
	Key         string              `json:"key"`
	Headers     map[string][]string `json:"headers"`
	TimestampMS *int64              `json:"timestamp_ms"`
}

// message returns the record as the engine's own input would hand it on.
func (r *record) message() *service.Message {
	o := origin.Origin{
		Topic:     r.Topic,
		Partition: r.Partition,
		Offset:    r.Offset,
		Key:       r.Key,
		Value:     r.Payload,
		Null:      r.Payload == nil,
	}
	if r.TimestampMS != nil {
		o.TimestampMS, o.HasTimestamp = *r.TimestampMS, true
	}
	for name, values := range r.Headers {
		o.Headers = append(o.Headers, origin.Header{Name: name, Values: values})
	}
	return origin.Message(o)
}
