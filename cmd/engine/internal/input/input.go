// Package input is the input ddpm_kafka: a member of a consumer group that hands on batches of records, each captured as
// it came out of Kafka, and commits an offset only when all records before it are done.
package input

import (
	"errors"
	"fmt"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/kafkaconn"
)

const (
	fieldAddresses = "addresses"
	fieldTopics    = "topics"
	fieldGroup     = "consumer_group"
	fieldClientID  = "client_id"
	fieldIsolation = "isolation_level"
	fieldDirect    = "direct"
	fieldBatching  = "batching"
	fieldCount     = "count"
	fieldByteSize  = "byte_size"
	fieldPeriod    = "period"

	readCommitted   = "read_committed"
	readUncommitted = "read_uncommitted"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Reads topics as a member of a consumer group, in batches of records.").
		Description(`
A partition without a committed offset is read from its beginning. Offsets are committed in the order of each partition:
only when every record before them is done. The records of aborted transactions are not read unless
`+"`isolation_level`"+` says so. What was read is kept with the messages, where no processor can change it.`).
		Fields(
			service.NewStringListField(fieldAddresses).Description("The brokers."),
			kafkaconn.Field(),
			service.NewStringListField(fieldTopics).Description("The topics."),
			service.NewStringField(fieldGroup).Description("The consumer group."),
			service.NewStringField(fieldClientID).Description("The client's name for the brokers.").Default("ddpm"),
			service.NewStringEnumField(fieldIsolation, readCommitted, readUncommitted).
				Description("Whether records of open and aborted transactions are read.").Default(readCommitted),
			service.NewBoolField(fieldDirect).
				Description("Whether a batch travels as one message, for pipelines of ddpm's own components alone.").Default(false),
			service.NewObjectField(fieldBatching,
				service.NewIntField(fieldCount).Description("A batch has at most so many records.").Default(4000),
				service.NewIntField(fieldByteSize).Description("A batch is closed when its keys, values and headers take so many bytes.").
					Default(4_000_000),
				service.NewDurationField(fieldPeriod).Description("A batch is closed after so long.").Default("100ms"),
			),
		)
	err := service.RegisterBatchInput("ddpm_kafka", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchInput, error) {
			c, err := parse(conf)
			if err != nil {
				return nil, err
			}
			return newReader(c, mgr), nil
		})
	if err != nil {
		panic(err)
	}
}

type config struct {
	addresses, topics []string
	group, clientID   string
	uncommitted       bool
	direct            bool
	security          *kafkaconn.Security
	limits            limits
}

// limits bound a batch.
type limits struct {
	count, bytes int
	period       time.Duration
}

func parse(conf *service.ParsedConfig) (*config, error) {
	c := &config{}
	var isolation string
	var errs [10]error
	c.addresses, errs[0] = conf.FieldStringList(fieldAddresses)
	c.topics, errs[1] = conf.FieldStringList(fieldTopics)
	c.group, errs[2] = conf.FieldString(fieldGroup)
	c.clientID, errs[3] = conf.FieldString(fieldClientID)
	isolation, errs[4] = conf.FieldString(fieldIsolation)
	c.direct, errs[5] = conf.FieldBool(fieldDirect)
	c.limits.count, errs[6] = conf.FieldInt(fieldBatching, fieldCount)
	c.limits.bytes, errs[7] = conf.FieldInt(fieldBatching, fieldByteSize)
	c.limits.period, errs[8] = conf.FieldDuration(fieldBatching, fieldPeriod)
	c.security, errs[9] = kafkaconn.FromConfig(conf)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	c.uncommitted = isolation == readUncommitted
	if len(c.addresses) == 0 || len(c.topics) == 0 || c.group == "" {
		return nil, fmt.Errorf("%s, %s and %s must not be empty", fieldAddresses, fieldTopics, fieldGroup)
	}
	if c.limits.count < 1 || c.limits.bytes < 1 || c.limits.period <= 0 {
		return nil, fmt.Errorf("the limits of %s must be above 0", fieldBatching)
	}
	return c, nil
}
