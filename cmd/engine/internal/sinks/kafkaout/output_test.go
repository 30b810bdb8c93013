package kafkaout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/sink/conformance"

	_ "ddpm/engine/internal/records/origin"
	_ "ddpm/engine/internal/sinks/kafkaout"
)

func config(address, topic string) string {
	return fmt.Sprintf("ddpm_kafka_out: {addresses: [%q], topic: %q, timeout: 1s}\nprocessors: [{ddpm_forward: {}}]", address, topic)
}

// The topic takes so little that good records in company are too large for it, as bad ones are alone.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:   "kafka_out_waiting",
		Says:      " does not take rows (",
		InSilence: true,
		New: func(t testing.TB) conformance.Destination {
			topic := enginetest.NewTopic(t)
			topic.Set("max.message.bytes", "1000")
			var before []int64
			return conformance.Destination{
				Server:  topic.Broker,
				Prepare: topic.HideBehind,
				Config:  func(address string) string { return config(address, topic.Name) },
				Good:    func(n int) string { return fmt.Sprintf(`{"id": %d}`, n) },
				Bad:     func(n int) string { return fmt.Sprintf(`{"id": %d, "large": %q}`, n, strings.Repeat("x", 1000)) },
				Stored:  func() []int64 { return append(before, ids(t, topic.Records())...) },
				Refuse: func() func() {
					before = ids(t, topic.Records())
					remove(t, topic)
					return func() {
						topic.Create()
						topic.Set("max.message.bytes", "1000")
					}
				},
			}
		},
	})
}

// remove deletes a topic, and returns when nothing can be written to it any more.
func remove(t testing.TB, topic *enginetest.Topic) {
	topic.Delete()
	if err := topic.AwaitRefusal(); !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.UnknownTopicID) {
		t.Fatal(err)
	}
}

func ids(t testing.TB, records []*kgo.Record) []int64 {
	t.Helper()
	var found []int64
	for _, r := range records {
		var document struct{ ID int64 }
		if err := json.Unmarshal(r.Value, &document); err != nil {
			t.Fatal(err)
		}
		found = append(found, document.ID)
	}
	return found
}

const toDeadLetters = `fallback:
  - reject_errored:
      ddpm_kafka_out: {addresses: [%q], topic: %q, timeout: 1s}
      processors: [{ddpm_forward: {}}]
  - capture: {}
    processors: [{ddpm_dead_letter: {pipeline: p}}]
`

func record(offset int64, key, value string) enginetest.Record {
	return enginetest.Record{
		Topic: "events", Offset: offset, Key: key, Value: []byte(value), Timestamp: time.UnixMilli(1_700_000_000_000),
		Headers: map[string][]string{"own": {"first", "last"}},
	}
}

func start(t *testing.T, topic *enginetest.Topic) *enginetest.Stream {
	return enginetest.Start(t, []string{"ddpm_origin: {}", `mapping: 'meta more = "set"'`}, fmt.Sprintf(toDeadLetters, topic.Broker, topic.Name))
}

func TestRecordsHaveTheirKeyAndTheirHeaders(t *testing.T) {
	topic := enginetest.NewTopic(t)
	start(t, topic).MustProduce(record(1, "k", "a"), record(2, "", ""))
	found := topic.Records()
	if len(found) != 2 || string(found[0].Key) != "k" || string(found[0].Value) != "a" || found[1].Key != nil || found[1].Value == nil {
		t.Fatalf("%+v", found)
	}
	headers := map[string]string{}
	for _, h := range found[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	if len(headers) != 2 || headers["own"] != "last" || headers["more"] != "set" {
		t.Errorf("headers %v", headers)
	}
}

// Batches that are too large are cut, and what comes later under a key stays later.
func TestTheOrderOfAKeyStaysWhereOneIsRefused(t *testing.T) {
	topic := enginetest.NewTopic(t)
	topic.Set("max.message.bytes", "1000")
	stream := start(t, topic)
	var records []enginetest.Record
	for i := range int64(200) {
		value := fmt.Sprintf(`{"id": %d}`, i)
		if i == 77 {
			value = strings.Repeat("x", 2000)
		}
		records = append(records, record(i, fmt.Sprintf("key-%d", i%3), value))
	}
	stream.MustProduce(records...)
	last := map[string]int64{}
	for i, id := range ids(t, topic.Records()) {
		key := fmt.Sprint(id % 3)
		if before, known := last[key]; known && id <= before {
			t.Errorf("record %d of the topic is %d, behind %d", i, id, before)
		}
		last[key] = id
	}
	if dead := stream.Dead.Sent(); len(dead) != 1 || dead[0].Headers["__connect.errors.exception.class.name"] != "too_large" {
		t.Errorf("%+v", dead)
	}
}

func TestARecordWithoutAKeyIsDeadWhereTheTopicIsCompacted(t *testing.T) {
	topic := enginetest.NewTopic(t)
	topic.Set("cleanup.policy", "compact")
	stream := start(t, topic)
	stream.MustProduce(record(1, "k", "a"), record(2, "", "b"), record(3, "l", "c"))
	if found := topic.Records(); len(found) != 2 {
		t.Errorf("%d records", len(found))
	}
	dead := stream.Dead.Sent()
	if len(dead) != 1 || string(dead[0].Value) != "b" || dead[0].Headers["__connect.errors.exception.class.name"] != "refused" {
		t.Errorf("%+v", dead)
	}
}

// A topic that was made again has another id.
func TestATopicThatIsMadeAgainIsWrittenAgain(t *testing.T) {
	topic := enginetest.NewTopic(t)
	stream := start(t, topic)
	stream.MustProduce(record(1, "k", "a"))
	remove(t, topic)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stream.MustProduce(record(2, "k", "b"))
	}()
	for stream.Metrics.Get("kafka_out_waiting", "topic") == 0 {
		select {
		case <-ended:
			t.Fatal("it did not wait")
		case <-time.After(5 * time.Millisecond):
		}
	}
	topic.Create()
	<-ended
	if found := topic.Records(); len(found) == 0 || string(found[len(found)-1].Value) != "b" {
		t.Errorf("%+v", found)
	}
}

// Records that travel in no company need a client with more room.
func TestALargeRecordArrivesWhereTheTopicTakesIt(t *testing.T) {
	topic := enginetest.NewTopic(t)
	topic.Set("max.message.bytes", "20000000")
	stream := start(t, topic)
	large := strings.Repeat("x", 10_000_000)
	stream.MustProduce(record(1, "k", "a"), record(2, "k", large), record(3, "k", "b"))
	var found []string
	for _, r := range topic.Records() {
		found = append(found, string(r.Value))
	}
	// What came behind the large one is sent again behind it.
	if n := len(found); n < 3 || found[0] != "a" || found[n-2] != large || found[n-1] != "b" {
		t.Errorf("%d records, the last one %.20q", n, found[n-1])
	}
	if dead := stream.Dead.Sent(); len(dead) != 0 {
		t.Errorf("%d dead letters", len(dead))
	}
}
