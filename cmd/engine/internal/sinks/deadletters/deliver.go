package deadletters

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sinks/producer"
)

// letter is one dead letter as it is sent.
type letter struct {
	key, value []byte
	headers    []kgo.RecordHeader
	msg        *service.Message
}

// record is the letter as it is handed to the client, which makes notes on it: each attempt has one of its own.
func (l *letter) record() *kgo.Record {
	return &kgo.Record{Key: l.key, Value: l.value, Headers: l.headers}
}

func lettersOf(rows sink.Rows) ([]*letter, error) {
	letters := make([]*letter, rows.Len())
	for i := range letters {
		msg := rows.Message(i)
		value, err := rows.Document(i)
		if err != nil {
			return nil, err
		}
		r, err := producer.Record(msg, value)
		if err != nil {
			return nil, err
		}
		letters[i] = &letter{key: r.Key, value: r.Value, headers: r.Headers, msg: msg}
	}
	return letters, nil
}

// deliver makes one attempt and returns the letters that are not delivered, with the reason.
func (o *output) deliver(ctx context.Context, letters []*letter) ([]*letter, error) {
	var left []*letter
	var why error
	for i, err := range o.send(ctx, letters) {
		if producer.Refused(err) {
			err = o.keep(ctx, letters[i], err)
		}
		if err != nil {
			left, why = append(left, letters[i]), err
		}
	}
	return left, why
}

// send tries all letters once. It returns nothing if all are delivered, else what became of each.
func (o *output) send(ctx context.Context, letters []*letter) []error {
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		records[i] = l.record()
	}
	return o.producer.Send(ctx, records)
}

// keep finds another place for a letter that the topic refuses even alone.
func (o *output) keep(ctx context.Context, l *letter, refused error) error {
	if o.store != nil {
		if err := o.store.keep(ctx, l); err != nil {
			return &obstacle{classOf(refused), fmt.Sprintf("the topic %s does not take a record of %d bytes (%v), and the table %s cannot keep it: %v",
				o.topic, l.size(), refused, table, err)}
		}
		return nil
	}
	if !producer.TooLarge(refused) {
		return &obstacle{classRefused, fmt.Sprintf("the topic %s refuses a record, and there is no database to keep it in: %v", o.topic, refused)}
	}
	// Nothing but the topic is left: rather a letter without all of its headers than a partition that stands still.
	for _, shorter := range l.shortened() {
		errs := o.send(ctx, []*letter{shorter})
		if errs == nil {
			return nil
		}
		if !producer.TooLarge(errs[0]) {
			return errs[0]
		}
	}
	return &obstacle{classTooLarge, fmt.Sprintf("the topic %s takes no record of %d bytes, and there is no database to keep it in: "+
		"raise max.message.bytes of the topic", o.topic, len(l.key)+len(l.value))}
}
