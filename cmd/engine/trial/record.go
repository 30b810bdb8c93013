package trial

import "github.com/warpstreamlabs/bento/public/service"

// noTimestamp is what the kafka input reports, in milliseconds, for a record without a timestamp.
const noTimestamp = -62135596800000

// record is a record of a topic as it would be consumed.
type record struct {
	Record      int64               `json:"record"`
	Payload     []byte              `json:"payload"`
	Topic       string              `json:"topic"`
	Partition   int                 `json:"partition"`
	Offset      int                 `json:"offset"`
	Key         string              `json:"key"`
	Headers     map[string][]string `json:"headers"`
	TimestampMS *int64              `json:"timestamp_ms"`
}

// message returns what the kafka input makes of the record with multi_header.
func (r *record) message() *service.Message {
	msg := service.NewMessage(r.Payload)
	for name, values := range r.Headers {
		list := make([]any, len(values))
		for i, value := range values {
			list[i] = value
		}
		msg.MetaSetMut(name, list)
	}
	ms := int64(noTimestamp)
	if r.TimestampMS != nil {
		ms = *r.TimestampMS
	}
	msg.MetaSetMut("kafka_key", r.Key)
	msg.MetaSetMut("kafka_partition", r.Partition)
	msg.MetaSetMut("kafka_topic", r.Topic)
	msg.MetaSetMut("kafka_offset", r.Offset)
	msg.MetaSetMut("kafka_lag", int64(0))
	msg.MetaSetMut("kafka_timestamp_unix", ms/1000)
	msg.MetaSetMut("kafka_timestamp_unix_ms", ms)
	msg.MetaSetMut("kafka_tombstone_message", r.Payload == nil)
	return msg
}
