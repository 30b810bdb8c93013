package origin

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// The numbers are those of ddpm (tests/unit/broker/test_marks.py): it hands marks to the engine.
func TestARecordHasOneChecksumHereAndInDdpm(t *testing.T) {
	for _, c := range []struct {
		key, value []byte
		ms         int64
		want       uint32
	}{
		{[]byte("k"), []byte("value"), 1_764_000_000_123, 641548930},
		{nil, []byte("value"), -1, 494360628},
		{[]byte("k"), nil, 5, 140662621},
	} {
		if got := digest(c.key, c.value, c.ms); got != c.want {
			t.Errorf("digest(%q, %q, %d) = %d, want %d", c.key, c.value, c.ms, got, c.want)
		}
	}
}

func TestARecordBehindAForkHasTheNumberOfTheLatestOne(t *testing.T) {
	t.Setenv("FORKS", `{"orders": {"2": [[100, 7], [50, 8], [200, 9]]}}`)
	found, err := forksFrom("FORKS")
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int64]int64{49: 0, 50: 8, 100: 8, 199: 8, 200: 9, 1000: 9} {
		var got int64
		if number := found.source(&Origin{Topic: "orders", Partition: 2, Offset: offset}); number != nil {
			got = *number
		}
		if got != want {
			t.Errorf("the record at %d has the number %d, want %d", offset, got, want)
		}
	}
	if number := found.source(&Origin{Topic: "orders", Partition: 1, Offset: 500}); number != nil {
		t.Errorf("another partition has the number %d", *number)
	}
}

// log is a broker with one topic of one partition that holds these values from offset 0 on.
func log(t *testing.T, values ...string) sarama.Client {
	t.Helper()
	ends := sarama.NewMockOffsetResponse(t).SetOffset("orders", 0, sarama.OffsetNewest, int64(len(values)))
	return logThatEnds(t, ends, values...)
}

// logThatEnds is one whose broker says so when it is asked where the log ends.
func logThatEnds(t *testing.T, ends sarama.MockResponse, values ...string) sarama.Client {
	t.Helper()
	broker := sarama.NewMockBroker(t, 1)
	t.Cleanup(broker.Close)
	fetched := &sarama.FetchResponse{Version: fetchVersion}
	for offset, value := range values {
		fetched.AddRecord("orders", 0, nil, sarama.StringEncoder(value), int64(offset))
	}
	fetched.GetBlock("orders", 0).HighWaterMarkOffset = int64(len(values))
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t),
		"MetadataRequest": sarama.NewMockMetadataResponse(t).
			SetBroker(broker.Addr(), broker.BrokerID()).
			SetLeader("orders", 0, broker.BrokerID()),
		"FetchRequest":  sarama.NewMockWrapper(fetched),
		"OffsetRequest": ends,
	})
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient([]string{broker.Addr()}, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func readMarks(t *testing.T, values ...string) *marks {
	t.Helper()
	m := &marks{kept: map[place][]mark{}}
	for offset, value := range values {
		m.add(map[place]*Origin{{"orders", 0}: {Offset: int64(offset), Value: []byte(value)}})
	}
	return m
}

func TestALogIsTheSameWhileItHasTheRecordsThatWereRead(t *testing.T) {
	if err := readMarks(t, "a", "b").compare(log(t, "a", "b", "c")); err != nil {
		t.Error(err)
	}
}

func TestALogWithAnotherRecordAtAnOffsetIsAnotherOne(t *testing.T) {
	if err := readMarks(t, "a", "b").compare(log(t, "a", "x", "c")); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("got %v", err)
	}
}

// A producer may leave out the time of a record and not of the next one in the same batch.
func TestARecordBehindOneWithoutATimeIsTheSame(t *testing.T) {
	const ms = 1_764_000_000_123
	batch := &sarama.RecordBatch{Records: []*sarama.Record{
		{Value: []byte("without")},
		{Value: []byte("with"), OffsetDelta: 1, TimestampDelta: (ms + 1) * time.Millisecond},
	}}
	block := &sarama.FetchResponseBlock{RecordsSet: []*sarama.Records{{RecordBatch: batch}}}
	for offset, o := range []*Origin{
		{Value: []byte("without")},
		{Value: []byte("with"), TimestampMS: ms, HasTimestamp: true},
	} {
		if found, ok := recordAt(block, int64(offset)); !ok || found != digestOf(o) {
			t.Errorf("the record at %d has the checksum %d, and not %d", offset, found, digestOf(o))
		}
	}
}

func TestALogThatEndsBeforeWhatWasReadMayOnlyBeLate(t *testing.T) {
	m := readMarks(t, "a", "b", "c")
	i := &Incarnations{client: log(t, "a", "b"), marks: m, epochs: map[place]int32{}}
	epochs := map[place]int32{{"orders", 0}: 3}
	if err := i.compareLogs(epochs); !errors.Is(err, errShort) || errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("at first: %v", err)
	}
	i.short = time.Now().Add(-2 * settling)
	if err := i.compareLogs(epochs); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("after a while: %v", err)
	}
}

func TestALeaderThatDoesNotKnowItsEndYetHasNoOtherLog(t *testing.T) {
	unknown := &sarama.OffsetResponse{Version: 5, Blocks: map[string]map[int32]*sarama.OffsetResponseBlock{
		"orders": {0: {Err: sarama.ErrOffsetNotAvailable}},
	}}
	marks := readMarks(t, "a", "b", "c")
	for name, ends := range map[string]sarama.MockResponse{
		"unknown":   sarama.NewMockWrapper(unknown),
		"just seen": sarama.NewMockOffsetResponse(t).SetOffset("orders", 0, sarama.OffsetNewest, 3),
	} {
		i := &Incarnations{client: logThatEnds(t, ends, "a", "b"), marks: marks, epochs: map[place]int32{}}
		i.short = time.Now().Add(-2 * settling)
		err := i.compareLogs(map[place]int32{{"orders", 0}: 3})
		if err == nil || errors.Is(err, errShort) || errors.Is(err, ErrAnotherIncarnation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheLastRecordOfEachPartitionIsTaken(t *testing.T) {
	var last lastRecords
	for offset, partition := range []int{0, 0, 1, 0, 2, 1} {
		last.add(&Origin{Topic: "orders", Partition: partition, Offset: int64(offset)})
	}
	got := last.byPlace()
	for partition, want := range map[int32]int64{0: 3, 1: 5, 2: 4} {
		if o := got[place{"orders", partition}]; o == nil || o.Offset != want {
			t.Errorf("of partition %d: %+v, want offset %d", partition, o, want)
		}
	}
	if none := new(lastRecords).byPlace(); len(none) != 0 {
		t.Errorf("of no records: %v", none)
	}
}

func TestOnlyTheLastRecordsAreRemembered(t *testing.T) {
	m := readMarks(t, make([]string, 3*keptMarks)...)
	kept := m.all()[place{"orders", 0}]
	if len(kept) != keptMarks || kept[keptMarks-1].offset != 3*keptMarks-1 {
		t.Errorf("kept %d marks up to %d", len(kept), kept[len(kept)-1].offset)
	}
}
