package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
	"ddpm/engine/sink"
)

// letter is one dead letter as it is sent.
type letter struct {
	key, value []byte
	headers    []sarama.RecordHeader
	msg        *service.Message
}

func lettersOf(rows sink.Rows) ([]*letter, error) {
	letters := make([]*letter, rows.Len())
	for i := range letters {
		msg := rows.Message(i)
		value, err := rows.Document(i)
		if err != nil {
			return nil, err
		}
		l := &letter{value: value, msg: msg}
		err = msg.MetaWalk(func(name, text string) error {
			if name == origin.KeyMetadata {
				l.key = []byte(text)
			} else if !strings.HasPrefix(name, origin.KeyMetadata) {
				l.headers = append(l.headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(text)})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		letters[i] = l
	}
	return letters, nil
}

// deliver makes one attempt and returns the letters that are not delivered, with the reason.
func (o *output) deliver(ctx context.Context, letters []*letter) ([]*letter, error) {
	failed, err := o.send(ctx, letters, together)
	var left []*letter
	for _, l := range failed {
		if !tooLarge(l.err) {
			left, err = append(left, l.letter), l.err
		}
	}
	for _, l := range failed {
		if !tooLarge(l.err) {
			continue
		}
		// The broker refuses a whole batch of the producer: only a letter that is refused on its own is too large.
		if refused := o.sendAlone(ctx, l.letter); refused != nil {
			left, err = append(left, l.letter), refused
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return left, err
}

func (o *output) sendAlone(ctx context.Context, l *letter) error {
	o.lonely.Lock()
	defer o.lonely.Unlock()
	err := o.sendOne(ctx, l)
	if err == nil || !tooLarge(err) {
		return err
	}
	if o.store != nil {
		if err := o.store.keep(ctx, l); err != nil {
			return &obstacle{classTooLarge, fmt.Sprintf("the topic %s takes no record of %d bytes, and the table %s cannot keep it: %v",
				o.topic, l.size(), table, err)}
		}
		return nil
	}
	// Nothing but the topic is left: rather a letter without all of its headers than a partition that stands still.
	for _, shorter := range l.shortened() {
		if err = o.sendOne(ctx, shorter); err == nil || !tooLarge(err) {
			return err
		}
	}
	return &obstacle{classTooLarge, fmt.Sprintf("the topic %s takes no record of %d bytes, and there is no database to keep it in: "+
		"raise max.message.bytes of the topic", o.topic, len(l.key)+len(l.value))}
}

func (o *output) sendOne(ctx context.Context, l *letter) error {
	failed, _ := o.send(ctx, []*letter{l}, alone)
	if len(failed) == 0 {
		return nil
	}
	return failed[0].err
}

// company says whether a letter may go in one batch with others.
type company bool

const (
	together company = true
	alone    company = false
)

type failure struct {
	letter *letter
	err    error
}

// send tries all letters once and returns those that failed; the brokers' client has tried each a few times by then.
func (o *output) send(ctx context.Context, letters []*letter, how company) ([]failure, error) {
	err := within(ctx, func() error {
		producer, err := o.connected(how)
		if err != nil {
			return err
		}
		return producer.SendMessages(o.messages(letters))
	})
	if err == nil {
		return nil, nil
	}
	var several sarama.ProducerErrors
	if !errors.As(err, &several) {
		failed := make([]failure, len(letters))
		for i, l := range letters {
			failed[i] = failure{l, err}
		}
		return failed, err
	}
	failed := make([]failure, len(several))
	for i, one := range several {
		failed[i] = failure{one.Msg.Metadata.(*letter), one.Err}
	}
	return failed, err
}

func (o *output) messages(letters []*letter) []*sarama.ProducerMessage {
	messages := make([]*sarama.ProducerMessage, len(letters))
	for i, l := range letters {
		messages[i] = &sarama.ProducerMessage{Topic: o.topic, Value: sarama.ByteEncoder(l.value), Headers: l.headers, Metadata: l}
		if len(l.key) > 0 {
			messages[i].Key = sarama.ByteEncoder(l.key)
		}
	}
	return messages
}

func (o *output) connected(how company) (sarama.SyncProducer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.producer == nil {
		if err := o.connect(); err != nil {
			return nil, err
		}
	}
	if how == alone {
		return o.single, nil
	}
	return o.producer, nil
}

func (o *output) connect() error {
	client, err := sarama.NewClient(o.addresses, o.sarama)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		_ = client.Close()
		return err
	}
	single, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		_ = errors.Join(producer.Close(), client.Close())
		return err
	}
	o.client, o.producer, o.single = client, producer, single
	return nil
}

// refresh asks again where the topic is, which tells why it cannot be written: the producer itself soon says no more
// than that it does not try for now.
func (o *output) refresh(ctx context.Context) error {
	return within(ctx, func() error {
		if _, err := o.connected(together); err != nil {
			return err
		}
		return o.client.RefreshMetadata(o.topic)
	})
}

// within gives up waiting for a call that knows no context when the context ends; what it sends may be sent twice.
func within(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func tooLarge(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrInvalidMessageSize) ||
		errors.Is(err, sarama.KError(18)) // RECORD_LIST_TOO_LARGE, larger than a segment of the topic
}
