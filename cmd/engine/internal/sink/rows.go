package sink

import (
	"fmt"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
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

	// Unchecked says that the documents are to be JSON, and were not looked at yet: see origin.Text and origin.NotJSON.
	// Only a sink with Options.TakesUnchecked ever sees it.
	Unchecked() bool

	// Failure is why the row failed before it came to the sink; nil if it did not.
	Failure(i int) *reason.Reason

	// Message is the row as a message of the engine, for what needs its metadata. It may have to be made.
	Message(i int) *service.Message

	// check has a look at documents that are unchecked: those that are not JSON have failed afterwards.
	check()

	// refused returns the engine's error for the whole batch, in which the rows of the failures failed and no others.
	refused(failures []Failure) error
}

// RowsOf returns the rows of a batch. It costs nothing for each of them.
func RowsOf(batch service.MessageBatch) Rows {
	if c, ok := origin.ChunkOf(batch); ok {
		return &chunk{c}
	}
	return messages(batch)
}

// chunk is a batch that travels as one message.
type chunk struct{ *origin.Chunk }

func (c *chunk) Len() int { return len(c.Records) }

func (c *chunk) Document(i int) ([]byte, error) {
	r := &c.Records[i]
	if r.Origin.Null && !r.Parsed {
		return nil, origin.Tombstone()
	}
	return r.Document, nil
}

func (c *chunk) check() {
	if !c.Chunk.Unchecked {
		return
	}
	var scanner jsontext.Scanner
	for i := range c.Records {
		r := &c.Records[i]
		if r.Failure != nil || r.Origin.Null && !r.Parsed {
			continue
		}
		if r.Document, r.Failure = origin.Text(r.Document); r.Failure == nil {
			if err := scanner.Validate(r.Document); err != nil {
				r.Failure = origin.NotJSON(err)
			}
		}
	}
	c.Chunk.Unchecked = false
}

func (c *chunk) Unchecked() bool { return c.Chunk.Unchecked }

func (c *chunk) Failure(i int) *reason.Reason { return c.Records[i].Failure }

func (c *chunk) Message(i int) *service.Message { return c.MessageOf(i) }

// refused notes with the records which of them failed; the message fails as a whole, and the dead letters take out of it
// what is theirs.
func (c *chunk) refused(failures []Failure) error {
	if len(failures) == 0 {
		return nil
	}
	for _, f := range failures {
		c.Records[f.Index].Failure = f.Reason
	}
	return headline(failures, len(c.Records))
}

// headline is one line for all failures. For a batch of one the headline is what the fallback output hands on, so that it
// must be the reason itself.
func headline(failures []Failure, rows int) error {
	if rows == 1 {
		return failures[0].Reason
	}
	return fmt.Errorf("%d of %d records refused, the first one: %s", len(failures), rows, failures[0].Reason.Message)
}

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

func (m messages) Unchecked() bool { return false }

func (m messages) check() {}

func (m messages) Message(i int) *service.Message { return m[i] }

// refused names the failed records.
func (m messages) refused(failures []Failure) error {
	if len(failures) == 0 {
		return nil
	}
	err := service.NewBatchError(service.MessageBatch(m), headline(failures, len(m)))
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
