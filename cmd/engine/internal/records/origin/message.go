package origin

import (
	"context"
	"slices"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
)

// Message returns a record as a message of the engine; see Messages.
func Message(o Origin) *service.Message {
	return Messages([]Origin{o})[0]
}

// Messages returns records as messages of the engine. Their metadata are what Bento's own kafka input gives its messages
// with multi_header: the headers, each a list of its values, and the fields `kafka_…`, which no header can stand for.
func Messages(records []Origin) service.MessageBatch {
	holders := make([]holder, len(records))
	out := make(service.MessageBatch, len(records))
	for i := range records {
		h := &holders[i]
		h.Context, h.origin = context.Background(), records[i]
		msg := service.NewMessage(h.origin.Value)
		describe(msg, &h.origin)
		out[i] = msg.WithContext(h)
	}
	return out
}

func describe(msg *service.Message, o *Origin) {
	for _, header := range o.Headers {
		values := make([]any, len(header.Values))
		for i, value := range header.Values {
			values[i] = value
		}
		msg.MetaSetMut(header.Name, values)
	}
	ms := int64(zeroTimeMS)
	if o.HasTimestamp {
		ms = o.TimestampMS
	}
	msg.MetaSetMut("kafka_key", o.Key)
	msg.MetaSetMut("kafka_partition", o.Partition)
	msg.MetaSetMut("kafka_topic", o.Topic)
	msg.MetaSetMut("kafka_offset", int(o.Offset))
	msg.MetaSetMut("kafka_lag", o.Behind)
	msg.MetaSetMut("kafka_timestamp_unix", floorDiv(ms, 1000))
	msg.MetaSetMut("kafka_timestamp_unix_ms", ms)
	msg.MetaSetMut("kafka_tombstone_message", o.Null)
}

// zeroTimeMS is what the engine's own input says of a record without a timestamp: the year 1.
const zeroTimeMS = -62135596800000

func floorDiv(a, b int64) int64 {
	if a < 0 && a%b != 0 {
		return a/b - 1
	}
	return a / b
}

// fewHeaders are those among which a name is found by looking at each. A record may have hundreds of thousands.
const fewHeaders = 16

// SetHeaders takes a record's headers, which are handed over in their order; the values of a name that is repeated stand
// together, where its first one stood.
func (o *Origin) SetHeaders(count int, header func(i int) (name, value string)) {
	o.Headers = nil
	var places map[string]int
	if count > fewHeaders {
		places = make(map[string]int, count)
	}
	for i := range count {
		name, value := header(i)
		at, found := o.placeOf(name, places)
		if found {
			o.Headers[at].Values = append(o.Headers[at].Values, value)
			continue
		}
		if places != nil {
			places[name] = at
		}
		o.Headers = append(o.Headers, Header{name, []string{value}})
	}
}

// placeOf returns where a header of this name stands, or will stand; places holds those of all names if there are many.
func (o *Origin) placeOf(name string, places map[string]int) (at int, found bool) {
	if places == nil {
		at = slices.IndexFunc(o.Headers, func(h Header) bool { return h.Name == name })
	} else if known, ok := places[name]; ok {
		at = known
	} else {
		at = -1
	}
	if at < 0 {
		return len(o.Headers), false
	}
	return at, true
}

// Chunk is a batch of records that travels through the engine as one message, from the input to the sink. A message of its
// own has only a record that has failed.
type Chunk struct {
	Records []Record
	// Unchecked says that the documents are to be JSON, and were not looked at yet.
	Unchecked bool
}

// Record is a document of a chunk, with what its record was, or why there is none.
type Record struct {
	Origin   Origin
	Document []byte
	Failure  *reason.Reason
	// Parsed says that no parser is to look at the document any more.
	Parsed bool
}

type chunkKey struct{}

// Message returns the message that carries the chunk.
func (c *Chunk) Message() *service.Message {
	return service.NewMessage(nil).WithContext(context.WithValue(context.Background(), chunkKey{}, c))
}

// ChunkOf returns the chunk that a batch is, if it is one.
func ChunkOf(batch service.MessageBatch) (*Chunk, bool) {
	if len(batch) != 1 {
		return nil, false
	}
	c, ok := batch[0].Context().Value(chunkKey{}).(*Chunk)
	return c, ok
}

// Origin returns the record that a document came from.
func (c *Chunk) Origin(i int) (*Origin, bool) { return &c.Records[i].Origin, true }

// MessageOf returns a document as a message of its own, with the reason as its error if it has failed.
func (c *Chunk) MessageOf(i int) *service.Message {
	r := &c.Records[i]
	msg := service.NewMessage(r.Document).WithContext(&holder{Context: context.Background(), origin: r.Origin})
	if r.Failure != nil {
		msg.SetError(r.Failure)
	}
	return msg
}

// Failed returns the records that have failed, as messages of their own with the reason as their error.
func (c *Chunk) Failed() service.MessageBatch {
	var out service.MessageBatch
	for i := range c.Records {
		if c.Records[i].Failure != nil {
			out = append(out, c.MessageOf(i))
		}
	}
	return out
}
