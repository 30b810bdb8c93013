package deadletters_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"ddpm/engine/enginetest"
	"ddpm/engine/sink/conformance"

	_ "ddpm/engine/deadletters"
	_ "ddpm/engine/origin"
)

// envBrokers names a Kafka broker on which the tests may create topics.
const envBrokers = "DDPM_TEST_KAFKA_BROKERS"

// A letter that is delivered is what this sink stores; none is ever refused.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:     "dead_letter_waiting",
		Says:        "the dead letters wait (",
		Audited:     true,
		RefusesNone: true,
		New: func(t testing.TB) conformance.Destination {
			topic := newTopic(t)
			return conformance.Destination{
				Server:  topic.broker,
				Prepare: topic.hideBehind,
				Config: func(address string) string {
					return fmt.Sprintf("ddpm_dead_letters: {addresses: [%q], topic: %q, pipeline: %q}\n"+
						"processors: [{ddpm_dead_letter: {pipeline: p}}]", address, topic.name, topic.name)
				},
				Good:   func(n int) string { return fmt.Sprintf("record %d", n) },
				Stored: topic.offsets,
				Refuse: func() func() {
					topic.limit("1")
					topic.awaitRefusal()
					return func() { topic.limit("1000000") }
				},
			}
		},
	})
}

// topic is one of a test's own.
type topic struct {
	t      testing.TB
	broker string
	name   string
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func newTopic(t testing.TB) *topic {
	broker := os.Getenv(envBrokers)
	if broker == "" {
		t.Skip(envBrokers + " is not set: it names the Kafka broker for these tests")
	}
	conf := sarama.NewConfig()
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Admin.Timeout = 30 * time.Second
	client, err := sarama.NewClient([]string{broker}, conf)
	must(t, err)
	admin, err := sarama.NewClusterAdminFromClient(client)
	must(t, err)
	one := &topic{t, broker, fmt.Sprintf("ddpm-test-%08x", rand.Uint32()), client, admin}
	one.create()
	t.Cleanup(func() {
		one.remove()
		must(t, admin.Close())
	})
	return one
}

func (o *topic) create() {
	o.t.Helper()
	must(o.t, o.admin.CreateTopic(o.name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
}

func (o *topic) remove() {
	o.t.Helper()
	must(o.t, o.admin.DeleteTopic(o.name))
}

// limit has the topic take no records that are larger.
func (o *topic) limit(bytes string) {
	o.t.Helper()
	must(o.t, o.admin.AlterConfig(sarama.TopicResource, o.name, map[string]*string{"max.message.bytes": &bytes}, false))
}

// awaitRefusal returns once the broker refuses records.
func (o *topic) awaitRefusal() {
	o.t.Helper()
	conf := sarama.NewConfig()
	conf.Producer.RequiredAcks, conf.Producer.Return.Successes, conf.Producer.Retry.Max = sarama.WaitForAll, true, 0
	producer, err := sarama.NewSyncProducer([]string{o.broker}, conf)
	must(o.t, err)
	defer producer.Close()
	for err == nil {
		_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: o.name, Value: sarama.StringEncoder("x")})
	}
	if !errors.Is(err, sarama.ErrMessageSizeTooLarge) {
		o.t.Fatal(err)
	}
}

// hideBehind has the broker tell clients the proxy's address in place of its own.
func (o *topic) hideBehind(p *enginetest.Proxy) {
	p.Rewrite(told(o.t, o.broker), told(o.t, p.Address()))
}

// told is an address as the protocol has it: a text with its length, and a number.
func told(t testing.TB, address string) []byte {
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	return binary.BigEndian.AppendUint32([]byte(host), uint32(number))
}

// offsets are those of the records whose letters the topic holds.
func (o *topic) offsets() []int64 {
	o.t.Helper()
	must(o.t, o.client.RefreshMetadata(o.name))
	end, err := o.client.GetOffset(o.name, 0, sarama.OffsetNewest)
	must(o.t, err)
	consumer, err := sarama.NewConsumerFromClient(o.client)
	must(o.t, err)
	defer consumer.Close()
	var offsets []int64
	if end == 0 {
		return offsets
	}
	letters, err := consumer.ConsumePartition(o.name, 0, sarama.OffsetOldest)
	must(o.t, err)
	defer letters.Close()
	for letter := range letters.Messages() {
		for _, h := range letter.Headers {
			if string(h.Key) == "__connect.errors.offset" {
				offset, err := strconv.ParseInt(string(h.Value), 10, 64)
				must(o.t, err)
				offsets = append(offsets, offset)
			}
		}
		if letter.Offset == end-1 {
			break
		}
	}
	return offsets
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
