package input

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
)

// lot is a batch: records of one or several partitions, those of one partition in the order of the log.
type lot struct {
	segments     []segment
	count, bytes int
	// returns counts how often it came back.
	returns int
}

// segment are the records of one partition in a batch, without the markers of transactions.
type segment struct {
	at   place
	of   *progress
	part *part
	// span is what was read, be it a marker.
	span    span
	records []*kgo.Record
}

func (l *lot) empty() bool { return len(l.segments) == 0 }

func (l *lot) full(most limits) bool { return l.count >= most.count || l.bytes >= most.bytes }

// closedBy names the limit that completed the batch.
func (l *lot) closedBy(most limits) string {
	switch {
	case l.count >= most.count:
		return "count"
	case l.bytes >= most.bytes:
		return "size"
	}
	return "period"
}

// room returns how many records still go into the batch: at least one of a batch that is not full.
func (l *lot) room(most limits, records []*kgo.Record) int {
	bytes := l.bytes
	n := 0
	for n < len(records) && l.count+n < most.count && bytes < most.bytes {
		bytes += size(records[n])
		n++
	}
	return n
}

// size is what a record counts for in a batch: its headers are kept with it.
func size(r *kgo.Record) int {
	bytes := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		bytes += headerBytes + len(h.Key) + len(h.Value)
	}
	return bytes
}

// headerBytes is about what a header takes beside name and value: two strings and a list of one value.
const headerBytes = 64

// add takes records of one partition in.
func (l *lot) add(f fetched) {
	first, last := f.records[0].Offset, f.records[len(f.records)-1].Offset
	s := segment{at: f.at, of: f.of, span: span{first, last + 1, f.end}, records: f.records}
	if slices.ContainsFunc(s.records, isMarker) {
		s.records = slices.DeleteFunc(slices.Clone(s.records), isMarker)
	}
	for _, r := range s.records {
		l.bytes += size(r)
	}
	l.count += len(s.records)
	l.segments = append(l.segments, s)
}

func isMarker(r *kgo.Record) bool { return r.Attrs.IsControl() }

// keep leaves out the other segments.
func (l *lot) keep(wanted func(*segment) bool) {
	kept := l.segments[:0]
	l.count = 0
	for _, s := range l.segments {
		if wanted(&s) {
			kept = append(kept, s)
			l.count += len(s.records)
		}
	}
	l.segments = kept
}

func (l *lot) parts() []*part {
	parts := make([]*part, len(l.segments))
	for i := range l.segments {
		parts[i] = l.segments[i].part
	}
	return parts
}

// messages returns the batch as the engine's messages, made again each time: those of before may have been changed.
func (l *lot) messages(c *config) service.MessageBatch {
	if c.direct {
		chunk := &origin.Chunk{Records: make([]origin.Record, l.count)}
		l.each(func(i int, o origin.Origin) {
			chunk.Records[i] = origin.Record{Origin: o, Document: o.Value}
		})
		return service.MessageBatch{chunk.Message()}
	}
	origins := make([]origin.Origin, l.count)
	l.each(func(i int, o origin.Origin) { origins[i] = o })
	return origin.Messages(origins)
}

func (l *lot) each(do func(i int, o origin.Origin)) {
	i := 0
	for _, s := range l.segments {
		for _, r := range s.records {
			do(i, captured(r, s.span.end))
			i++
		}
	}
}

// captured returns what a record is, in a log that ends at end.
func captured(r *kgo.Record, end int64) origin.Origin {
	o := origin.Origin{
		Topic:     r.Topic,
		Partition: int(r.Partition),
		Offset:    r.Offset,
		Key:       string(r.Key),
		EmptyKey:  r.Key != nil && len(r.Key) == 0,
		Value:     r.Value[:len(r.Value):len(r.Value)],
		Null:      r.Value == nil,
		Behind:    max(0, end-r.Offset-1),
	}
	// Kafka's "no timestamp" is -1, and no broker takes another one below 0.
	if ms := origin.UnixMilli(r); ms >= 0 {
		o.TimestampMS, o.HasTimestamp = ms, true
	}
	o.SetHeaders(len(r.Headers), func(i int) (name, value string) { return r.Headers[i].Key, string(r.Headers[i].Value) })
	return o
}
