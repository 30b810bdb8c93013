// Package producer sends records to one Kafka topic: what the dead letters and the sink ddpm_kafka_out have in common. It
// makes attempts that end, and says why one failed; waiting is for the kit (package sink).
//
// It waits for all replicas in sync and is not idempotent: that needs no right but to write the topic, whatever the
// brokers' version, and what is sent again after an error comes again anyway. One request is on its way to a broker at a
// time, so that records of a partition arrive in their order.
package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/kafkaconn"
)

const (
	// batchBytes is the size up to which records of a partition travel together: a topic takes that by default.
	batchBytes = 1_000_012
	// requestBytes leaves the largest record room in a request. No broker reads a larger one by default.
	requestBytes = 100 << 20

	dialTimeout = 5 * time.Second
	// metadataMinAge is how long the client waits before it asks again where a topic is.
	metadataMinAge = 500 * time.Millisecond
	// recordTries and unknownTries let a leader move without a word about it, and no more.
	recordTries  = 4
	unknownTries = 1
	// askingTries bounds the question why a topic cannot be written.
	askingTries = 2
)

// Config is where and how records are sent.
type Config struct {
	Addresses []string
	Security  *kafkaconn.Security
	Topic     string
	ClientID  string
	// MaxBytes is the size of the largest record that is tried at all.
	MaxBytes int
	// Timeout is how long the brokers may take to acknowledge.
	Timeout time.Duration
	// Linger is how long a record waits for others to travel with; 0 for the client's own 10 ms.
	Linger time.Duration
}

const (
	fieldAddresses = "addresses"
	fieldTopic     = "topic"
	fieldClientID  = "client_id"
	fieldMaxBytes  = "max_msg_bytes"
	fieldTimeout   = "timeout"
)

// Fields are those of an output that sends with a Producer.
func Fields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringListField(fieldAddresses).Description("The brokers."),
		kafkaconn.Field(),
		service.NewStringField(fieldTopic).Description("The topic."),
		service.NewStringField(fieldClientID).Description("The client's name for the brokers.").Default("ddpm"),
		service.NewIntField(fieldMaxBytes).Description("The largest record that is tried at all.").Default(64_000_000),
		service.NewDurationField(fieldTimeout).Description("How long the brokers may take to acknowledge.").Default("10s"),
	}
}

// FromConfig reads the Fields.
func FromConfig(conf *service.ParsedConfig) (Config, error) {
	var c Config
	var errs [6]error
	c.Addresses, errs[0] = conf.FieldStringList(fieldAddresses)
	c.Topic, errs[1] = conf.FieldString(fieldTopic)
	c.ClientID, errs[2] = conf.FieldString(fieldClientID)
	c.MaxBytes, errs[3] = conf.FieldInt(fieldMaxBytes)
	c.Timeout, errs[4] = conf.FieldDuration(fieldTimeout)
	c.Security, errs[5] = kafkaconn.FromConfig(conf)
	if err := errors.Join(errs[:]...); err != nil {
		return c, err
	}
	if c.MaxBytes < batchBytes || c.MaxBytes > requestBytes-batchBytes {
		return c, fmt.Errorf("%s must be from %d to %d, not %d", fieldMaxBytes, batchBytes, requestBytes-batchBytes, c.MaxBytes)
	}
	if c.Timeout < time.Second {
		return c, fmt.Errorf("%s must be at least 1s, not %s", fieldTimeout, c.Timeout)
	}
	return c, nil
}

// overhead is how long an answer may be on its way.
func (c Config) overhead() time.Duration { return max(time.Second, c.Timeout/2) }

// Producer sends records to a topic. Its clients are made for the first record.
type Producer struct {
	conf Config

	mu sync.Mutex
	// company puts records together. single has room for the largest record, and one caller at a time.
	company, single *kgo.Client
	closed          bool
	turn            chan struct{}
}

// New returns a producer. It connects to nothing yet.
func New(c Config) *Producer { return &Producer{conf: c, turn: make(chan struct{}, 1)} }

func (p *Producer) options(batchBytes int) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(p.conf.Addresses...),
		kgo.ClientID(p.conf.ClientID),
		kgo.DialTimeout(dialTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RequestTimeoutOverhead(p.conf.overhead()),
		kgo.RequestRetries(askingTries),
		kgo.RetryTimeout(p.conf.overhead()),
		kgo.DefaultProduceTopic(p.conf.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.DisableIdempotentWrite(),
		kgo.ProduceRequestTimeout(p.conf.Timeout),
		kgo.RecordDeliveryTimeout(p.conf.Timeout + p.conf.overhead()),
		kgo.RecordRetries(recordTries),
		kgo.UnknownTopicRetries(unknownTries),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(int32(batchBytes)),
		kgo.BrokerMaxWriteBytes(requestBytes),
		// Where the clients of the Java family would put the key.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}
	if p.conf.Linger > 0 {
		opts = append(opts, kgo.ProducerLinger(p.conf.Linger))
	}
	return append(opts, p.conf.Security.Options()...)
}

// client returns one of the clients, which it makes if need be.
func (p *Producer) client(which **kgo.Client, batchBytes int) (*kgo.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, kgo.ErrClientClosed
	}
	if *which == nil {
		client, err := kgo.NewClient(p.options(batchBytes)...)
		if err != nil {
			return nil, err
		}
		*which = client
	}
	return *which, nil
}

func (p *Producer) together() (*kgo.Client, error) { return p.client(&p.company, batchBytes) }

func (p *Producer) alone() (*kgo.Client, error) { return p.client(&p.single, p.conf.MaxBytes) }

// Close ends the connections. What was not acknowledged by then may or may not be in the topic.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, client := range p.clients() {
		client.Close()
	}
}

// clients are those that were made.
func (p *Producer) clients() []*kgo.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	var made []*kgo.Client
	for _, client := range []*kgo.Client{p.company, p.single} {
		if client != nil {
			made = append(made, client)
		}
	}
	return made
}

// Refresh asks where the topic is, which says why it cannot be written.
func (p *Producer) Refresh(ctx context.Context) error {
	client, err := p.together()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.conf.overhead())
	defer cancel()
	ask := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &p.conf.Topic
	ask.Topics = append(ask.Topics, topic)
	answer, err := ask.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, found := range answer.Topics {
		if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
			return err
		}
		for _, partition := range found.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", partition.Partition, err)
			}
		}
	}
	client.ForceMetadataRefresh()
	return nil
}
