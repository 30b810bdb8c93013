package enginetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// envBrokers names a Kafka broker on which the tests may create topics.
const envBrokers = "DDPM_TEST_KAFKA_BROKERS"

// Topic is a topic of a test's own on a real Kafka, of one partition.
type Topic struct {
	t      testing.TB
	Broker string
	Name   string
	client *kgo.Client
}

// NewTopic makes a topic, which is deleted at the end of the test. Without a Kafka the test is skipped.
func NewTopic(t testing.TB) *Topic {
	broker := os.Getenv(envBrokers)
	if broker == "" {
		t.Skip(envBrokers + " is not set: it names the Kafka broker for these tests")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.MetadataMinAge(50*time.Millisecond))
	must(t, err)
	one := &Topic{t, broker, fmt.Sprintf("ddpm-test-%08x", rand.Uint32()), client}
	one.Create()
	t.Cleanup(func() {
		one.Delete()
		client.Close()
	})
	return one
}

func (o *Topic) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// Create makes the topic, as after Delete.
func (o *Topic) Create() {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	ask := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = o.Name, 1, 1
	ask.Topics = append(ask.Topics, topic)
	answer, err := ask.RequestWith(ctx, o.client)
	must(o.t, err)
	must(o.t, kerr.ErrorForCode(answer.Topics[0].ErrorCode))
}

// Delete deletes the topic.
func (o *Topic) Delete() {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	ask := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &o.Name
	ask.Topics, ask.TopicNames = append(ask.Topics, topic), append(ask.TopicNames, o.Name)
	answer, err := ask.RequestWith(ctx, o.client)
	must(o.t, err)
	must(o.t, kerr.ErrorForCode(answer.Topics[0].ErrorCode))
}

// Set gives the topic a setting, such as max.message.bytes.
func (o *Topic) Set(name, value string) {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	ask := kmsg.NewPtrIncrementalAlterConfigsRequest()
	topic := kmsg.NewIncrementalAlterConfigsRequestResource()
	topic.ResourceType, topic.ResourceName = kmsg.ConfigResourceTypeTopic, o.Name
	setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	setting.Name, setting.Value = name, &value
	topic.Configs = append(topic.Configs, setting)
	ask.Resources = append(ask.Resources, topic)
	answer, err := ask.RequestWith(ctx, o.client)
	must(o.t, err)
	must(o.t, kerr.ErrorForCode(answer.Resources[0].ErrorCode))
}

// AwaitRefusal writes records until the broker refuses one, and returns why.
func (o *Topic) AwaitRefusal() error {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Broker), kgo.DefaultProduceTopic(o.Name),
		kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.UnknownTopicRetries(0))
	must(o.t, err)
	defer client.Close()
	for err == nil {
		err = client.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr()
	}
	return err
}

// HideBehind has the broker tell clients the proxy's address in place of its own.
func (o *Topic) HideBehind(p *Proxy) {
	p.Rewrite(inProtocol(o.t, o.Broker), inProtocol(o.t, p.Address()))
}

// inProtocol is an address as Kafka's protocol has it: a text behind its length, and a number.
func inProtocol(t testing.TB, address string) []byte {
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	return binary.BigEndian.AppendUint32([]byte(host), uint32(number))
}

// Write adds records.
func (o *Topic) Write(values ...string) {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Broker), kgo.DefaultProduceTopic(o.Name))
	must(o.t, err)
	defer client.Close()
	records := make([]*kgo.Record, len(values))
	for i, value := range values {
		records[i] = &kgo.Record{Value: []byte(value)}
	}
	must(o.t, client.ProduceSync(ctx, records...).FirstErr())
}

// Committed is how far a group has come; -1 if it has committed nothing.
func (o *Topic) Committed(group string) int64 {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	ask := kmsg.NewPtrOffsetFetchRequest()
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = o.Name, []int32{0}
	of := kmsg.NewOffsetFetchRequestGroup()
	of.Group, of.Topics = group, append(of.Topics, topic)
	ask.Groups = append(ask.Groups, of)
	answer, err := ask.RequestWith(ctx, o.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Groups[0].ErrorCode)
	}
	if kerr.IsRetriable(err) {
		return -1 // a new broker has kept no group yet
	}
	must(o.t, err)
	return answer.Groups[0].Topics[0].Partitions[0].Offset
}

// Records returns what the topic holds.
func (o *Topic) Records() []*kgo.Record {
	o.t.Helper()
	ctx, cancel := o.context()
	defer cancel()
	end := o.end(ctx)
	if end == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Broker), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Name: {0: kgo.NewOffset().AtStart()}}))
	must(o.t, err)
	defer client.Close()
	var records []*kgo.Record
	for len(records) == 0 || records[len(records)-1].Offset < end-1 {
		found := client.PollFetches(ctx)
		must(o.t, found.Err())
		records = append(records, found.Records()...)
	}
	return records
}

func (o *Topic) end(ctx context.Context) int64 {
	o.t.Helper()
	const latest = -1
	ask := kmsg.NewPtrListOffsetsRequest()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = o.Name
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Timestamp = latest
	topic.Partitions = append(topic.Partitions, partition)
	ask.Topics = append(ask.Topics, topic)
	answer, err := ask.RequestWith(ctx, o.client)
	must(o.t, err)
	found := answer.Topics[0].Partitions[0]
	must(o.t, kerr.ErrorForCode(found.ErrorCode))
	return found.Offset
}
