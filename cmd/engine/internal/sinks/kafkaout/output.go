// Package kafkaout is the output ddpm_kafka_out: it writes documents to a Kafka topic under the key of their record, at
// least once. A record that the topic does not take for its size or for what it holds fails alone; anything else waits.
package kafkaout

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sinks/producer"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Writes to a Kafka topic: at least once, and waits while the topic is away.").
		Description(`
Belongs behind ` + "`reject_errored`" + ` and in front of the dead letters, with the processor ` + "`ddpm_forward`" + `, which finds the
original key. All other metadata become headers. Records with the same key that come in one batch keep their order.`).
		Fields(producer.Fields()...).
		Field(service.NewOutputMaxInFlightField().Default(4))
	err := service.RegisterBatchOutput("ddpm_kafka_out", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			if maxInFlight, err = conf.FieldMaxInFlight(); err != nil {
				return nil, policy, 0, err
			}
			sending, err := producer.FromConfig(conf)
			if err != nil {
				return nil, policy, 0, err
			}
			return sink.New(&output{sending.Topic, producer.New(sending)}, sink.Options{
				Name:    "the topic " + sending.Topic,
				Classes: producer.Classes,
				Metrics: sink.MetricsOf(contract.KafkaOut),
				// Where documents go to Postgres as well that sink keeps them, and one cannot be counted twice.
				Books: sink.NotKept,
			}, mgr), policy, maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

// Codes of the reasons why a topic refuses a record.
const (
	codeTooLarge = "too_large"
	codeRefused  = "refused"
)

// output is the sink.
type output struct {
	topic    string
	producer *producer.Producer
}

// Connect asks the brokers for the topic.
func (o *output) Connect(ctx context.Context) error { return o.producer.Refresh(ctx) }

// Write makes one attempt at all rows.
func (o *output) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	var result sink.Result
	var records []*kgo.Record
	// places are those of the records among the rows.
	var places []int
	for i := range rows.Len() {
		value, err := rows.Document(i)
		if err != nil {
			result.Failures = append(result.Failures, sink.Failure{Index: i, Reason: reason.New(reason.StageSink, codeRefused, err.Error())})
			continue
		}
		r, err := producer.Record(rows.Message(i), value)
		if err != nil {
			return sink.Result{}, err
		}
		records, places = append(records, r), append(places, i)
	}
	errs := o.producer.Send(ctx, records)
	var left []int
	var why error
	for i, err := range errs {
		if err == nil {
			continue
		}
		if producer.Refused(err) {
			result.Failures = append(result.Failures, sink.Failure{Index: places[i], Reason: o.reason(records[i], err)})
		} else {
			left, why = append(left, i), err
		}
	}
	// What is sent again must not come behind what came later: the last record of a key would not be the last any more.
	for _, i := range producer.WithLaterOnes(records, left) {
		if !producer.Refused(errs[i]) {
			result.Left = append(result.Left, places[i])
		}
	}
	result.Committed = rows.Len() - len(result.Failures) - len(result.Left)
	return result, why
}

func (o *output) reason(r *kgo.Record, err error) *reason.Reason {
	if !producer.TooLarge(err) {
		return reason.New(reason.StageSink, codeRefused, fmt.Sprintf("the topic %s refuses it: %v", o.topic, err))
	}
	return reason.New(reason.StageSink, codeTooLarge,
		fmt.Sprintf("the topic %s takes no record of %d bytes: raise its max.message.bytes", o.topic, producer.Size(r)))
}

// Classify says what rows wait for.
func (o *output) Classify(err error) sink.Verdict { return producer.Classify(err) }

// Close ends the connections to the brokers.
func (o *output) Close(context.Context) error {
	o.producer.Close()
	return nil
}
