package feed

import (
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/origin"
)

func size(r *contract.FedRecord) int {
	bytes := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		bytes += len(h.Name) + len(h.Value)
	}
	return bytes
}

// message returns the record as the engine's own input would hand it on.
func message(r *contract.FedRecord) *service.Message {
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
