package sink

import (
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
	"ddpm/engine/reason"
)

// Rows are the rows of a batch, by their place in it. They are the only way in which a sink sees what the engine hands
// on, whether that is a message for each row or one for all of them.
type Rows interface {
	// Len is how many rows there are.
	Len() int

	// Origin is the record that a row came from: topic, partition and offset are its identity, a key and a null value say
	// what an upsert or a deletion is about. It is false for a row that did not come out of Kafka.
	Origin(i int) (*origin.Origin, bool)

	// Document is the row's document, which must not be changed, nor kept beyond the write. The error is the row's own.
	Document(i int) ([]byte, error)

	// Failure is why the row failed before it came to the sink; nil if it did not.
	Failure(i int) *reason.Reason

	// Message is the row as a message of the engine, for what needs its metadata. It may have to be made.
	Message(i int) *service.Message

	// refused returns the engine's error for the whole batch, in which the rows of the failures failed and no others.
	refused(failures []Failure) error
}

// RowsOf returns the rows of a batch. It costs nothing for each of them.
func RowsOf(batch service.MessageBatch) Rows { return messages(batch) }

// messages is a batch with a message for each row.
type messages service.MessageBatch

func (m messages) Len() int { return len(m) }

func (m messages) Origin(i int) (*origin.Origin, bool) { return origin.From(m[i]) }

func (m messages) Document(i int) ([]byte, error) { return m[i].AsBytes() }

func (m messages) Failure(i int) *reason.Reason {
	if m[i].GetError() == nil {
		return nil
	}
	return origin.CauseOf(m[i])
}

func (m messages) Message(i int) *service.Message { return m[i] }

// refused names the failed records. For a batch of one the headline is what the fallback output hands on, so that it
// must be the reason itself.
func (m messages) refused(failures []Failure) error {
	if len(failures) == 0 {
		return nil
	}
	var headline error = failures[0].Reason
	if len(m) > 1 {
		headline = fmt.Errorf("%d of %d records refused, the first one: %s", len(failures), len(m), failures[0].Reason.Message)
	}
	err := service.NewBatchError(service.MessageBatch(m), headline)
	for _, f := range failures {
		err.Failed(f.Index, f.Reason)
	}
	return err
}

// Select returns some of the rows as rows of their own: those that go into one table, for example.
func Select(rows Rows, indexes []int) Rows { return &selection{rows, indexes} }

type selection struct {
	Rows
	indexes []int
}

func (s *selection) Len() int                            { return len(s.indexes) }
func (s *selection) Origin(i int) (*origin.Origin, bool) { return s.Rows.Origin(s.indexes[i]) }
func (s *selection) Document(i int) ([]byte, error)      { return s.Rows.Document(s.indexes[i]) }
func (s *selection) Failure(i int) *reason.Reason        { return s.Rows.Failure(s.indexes[i]) }
func (s *selection) Message(i int) *service.Message      { return s.Rows.Message(s.indexes[i]) }
