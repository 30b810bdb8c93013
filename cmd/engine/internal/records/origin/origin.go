// Package origin keeps what a record was when it came out of Kafka: its place, key, headers and
// bytes. The input keeps it in the message's Go context, where no mapping can reach it, so that a
// mapping may break a record but neither its identity nor its dead letter.
package origin

import (
	"context"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/runtime/audit"
)

// Origin is a record as it was consumed. It is never changed after the ddpm_origin processor.
type Origin struct {
	Topic     string
	Partition int
	Offset    int64

	// TimestampMS is in milliseconds since 1970 and means nothing unless HasTimestamp.
	TimestampMS  int64
	HasTimestamp bool

	// Key is empty for a record without a key as well as for one with an empty key, which EmptyKey distinguishes.
	Key      string
	EmptyKey bool

	// Value is the payload; Null distinguishes a tombstone from an empty payload.
	Value []byte
	Null  bool

	Headers []Header

	// Source is the number of the topic's incarnation; nil for the present one, whose number others know. Who hands a record
	// on may know it.
	Source *int64

	// Attempt is above 1 for a record that was dead before and is tried again.
	Attempt int
	// Place counts the records that this engine has read, over all partitions; a record that is read again counts again.
	Place uint64

	// Ticket reports whether the record is of the topic that its source number stands for; nil when nobody asks.
	Ticket *Ticket

	// Behind is how many offsets of the log stood behind the record when it was read.
	Behind int64

	// Page is where the books say what became of the record; nil where none are kept.
	Page *audit.Page

	// Index counts the documents of one record from 0, for formats with many of them in a record. It
	// means nothing unless HasIndex.
	Index    int
	HasIndex bool

	// signs say what the document had before a mapping saw it.
	signs int
}

// Header is one name of a record's headers with its values in the order of the record.
type Header struct {
	Name   string
	Values []string
}

type contextKey struct{}

// holder is a context that carries an Origin without an allocation of its own.
type holder struct {
	context.Context
	origin Origin
}

// Value returns the Origin for this package's key and asks the wrapped context for anything else.
func (h *holder) Value(key any) any {
	if _, ok := key.(contextKey); ok {
		return &h.origin
	}
	return h.Context.Value(key)
}

// From returns what was captured for a message; false if it never passed the ddpm_origin processor.
func From(msg *service.Message) (*Origin, bool) {
	o, ok := msg.Context().Value(contextKey{}).(*Origin)
	return o, ok
}

// Attach returns the message with an Origin in its context.
func Attach(msg *service.Message, o Origin) *service.Message {
	return msg.WithContext(&holder{Context: msg.Context(), origin: o})
}
