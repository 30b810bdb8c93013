package origin

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

func everywhere(place) bool { return true }

// logsOf looks at a broker's logs.
func logsOf(b *broker) *logs { return &logs{addresses: []string{b.address()}} }

// compared is what is found wrong, wherever.
func compared(l *logs, all map[place][]mark) error {
	unknown := map[place]error{}
	err := l.compare(all, unknown)
	for _, one := range unknown {
		err = cmp.Or(err, one)
	}
	return err
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
	if err := compared(logsOf(startBroker(t, []string{"a", "b", "c"})), readMarks(t, "a", "b").of(everywhere)); err != nil {
		t.Error(err)
	}
}

func TestALogWithAnotherRecordAtAnOffsetIsAnotherOne(t *testing.T) {
	err := compared(logsOf(startBroker(t, []string{"a", "x", "c"})), readMarks(t, "a", "b").of(everywhere))
	if !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("got %v", err)
	}
}

func TestTheMarksOfAllPartitionsOfALeaderAreSeenAtOnce(t *testing.T) {
	const partitions = 40
	var all [][]string
	m := &marks{kept: map[place][]mark{}}
	for n := range partitions {
		values := []string{"a", "b", "c", strconv.Itoa(n)}
		all = append(all, values)
		for offset, value := range values {
			m.add(map[place]*Origin{{topic, int32(n)}: {Offset: int64(offset), Value: []byte(value)}})
		}
	}
	b := startBroker(t, all...)
	if err := compared(logsOf(b), m.of(everywhere)); err != nil {
		t.Fatal(err)
	}
	if asked := b.counts()[kmsg.Fetch]; asked != 1 {
		t.Errorf("%d fetches", asked)
	}
	b.change(func() { b.logs[partitions-1][3] = "another" })
	if err := compared(logsOf(b), m.of(everywhere)); !errors.Is(err, ErrAnotherIncarnation) || !strings.Contains(err.Error(), topic+"/39: another record at offset 3") {
		t.Error(err)
	}
}

// An answer has no room for all partitions, and none for the second half of a batch.
func TestMarksThatFindNoRoomInAnAnswerAreSeenInTheNext(t *testing.T) {
	large := strings.Repeat("x", answerBytes/2)
	for name, last := range map[string]string{"the same": large, "another": large[1:]} {
		b := startBroker(t, []string{large}, []string{large}, []string{large}, []string{last})
		m := &marks{kept: map[place][]mark{}}
		for n := range 4 {
			m.add(map[place]*Origin{{topic, int32(n)}: {Value: []byte(large)}})
		}
		err := compared(logsOf(b), m.of(everywhere))
		if same := last == large; same && err != nil || !same && !errors.Is(err, ErrAnotherIncarnation) {
			t.Errorf("%s: %v", name, err)
		}
		if asked := b.counts()[kmsg.Fetch]; asked < 2 {
			t.Errorf("%s: %d fetches", name, asked)
		}
	}
}

func TestAQuotaHidesNoOtherLog(t *testing.T) {
	b := startBroker(t, []string{"x"})
	b.throttled = true
	if err := compared(logsOf(b), readMarks(t, "a").of(everywhere)); !errors.Is(err, ErrAnotherIncarnation) {
		t.Error(err)
	}
}

func TestOfRecordsThatRetentionRemovedNobodyCanTell(t *testing.T) {
	b := startBroker(t, []string{"x", "y", "c"})
	b.start = 2
	m := readMarks(t, "a", "b", "c")
	if err := compared(logsOf(b), m.of(everywhere)); err != nil {
		t.Error(err)
	}
	b.change(func() { b.logs[0][2] = "z" })
	if err := compared(logsOf(b), m.of(everywhere)); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("behind them there is another record: %v", err)
	}
}

func TestOfRecordsThatCompactionRemovedNobodyCanTell(t *testing.T) {
	b := startBroker(t, []string{"x", "y"}, []string{"z"})
	b.compacted = true
	m := readMarks(t, "a", "b")
	m.add(map[place]*Origin{{topic, 1}: {Value: []byte("c")}})
	if err := compared(logsOf(b), m.of(everywhere)); err != nil {
		t.Error(err)
	}
}

func TestOfATopicThatIsGoneNobodyCanTell(t *testing.T) {
	b := startBroker(t, []string{"x"})
	b.unknown = true
	if err := compared(logsOf(b), readMarks(t, "a").of(everywhere)); err != nil {
		t.Error(err)
	}
}

// The client's nanoseconds overflow there, to a time of this century.
func TestARecordOfAFarFutureIsTheSame(t *testing.T) {
	const ms = 19_946_744_073_710
	b := startBroker(t, []string{"a"})
	b.ms = ms
	m := &marks{kept: map[place][]mark{}}
	m.add(map[place]*Origin{{topic, 0}: {Value: []byte("a"), TimestampMS: ms, HasTimestamp: true}})
	if err := compared(logsOf(b), m.of(everywhere)); err != nil {
		t.Error(err)
	}
}

// A producer may leave out the time of a record and not of the next one in the same batch.
func TestARecordBehindOneWithoutATimeIsTheSame(t *testing.T) {
	const ms = 1_764_000_000_123
	raw := batchOf(0, -1, kmsg.Record{Value: []byte("without")}, kmsg.Record{Value: []byte("with"), TimestampDelta64: ms + 1})
	page, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{},
		&kmsg.FetchResponseTopicPartition{HighWatermark: 2, RecordBatches: raw}, kgo.DefaultDecompressor(), nil)
	if page.Err != nil || next != 2 {
		t.Fatalf("%d records: %v", next, page.Err)
	}
	for i, o := range []*Origin{
		{Value: []byte("without")},
		{Value: []byte("with"), TimestampMS: ms, HasTimestamp: true},
	} {
		r := page.Records[i]
		if found := digest(r.Key, r.Value, UnixMilli(r)); found != digestOf(o) {
			t.Errorf("the record at %d has the checksum %d, and not %d", i, found, digestOf(o))
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
	kept := m.of(everywhere)[place{"orders", 0}]
	if len(kept) != keptMarks || kept[keptMarks-1].offset != 3*keptMarks-1 {
		t.Errorf("kept %d marks up to %d", len(kept), kept[len(kept)-1].offset)
	}
}
