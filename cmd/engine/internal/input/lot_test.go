package input

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARecordIsCapturedAsItWas(t *testing.T) {
	r := &kgo.Record{
		Topic: "events", Partition: 2, Offset: 1 << 40, Key: []byte("k\xff"), Value: []byte("\xff\x00"),
		Timestamp: time.UnixMilli(1_700_000_000_123),
		Headers:   []kgo.RecordHeader{{Key: "h", Value: []byte("\xfe")}, {Key: "x"}, {Key: "h", Value: []byte("2")}},
	}
	o := captured(r, 1<<40+3)
	if o.Topic != "events" || o.Partition != 2 || o.Offset != 1<<40 || o.Key != "k\xff" || string(o.Value) != "\xff\x00" || o.Null ||
		!o.HasTimestamp || o.TimestampMS != 1_700_000_000_123 || o.Behind != 2 {
		t.Errorf("%+v", o)
	}
	if len(o.Headers) != 2 || o.Headers[0].Name != "h" || !slices.Equal(o.Headers[0].Values, []string{"\xfe", "2"}) ||
		!slices.Equal(o.Headers[1].Values, []string{""}) {
		t.Errorf("%q", o.Headers)
	}
	if o := captured(&kgo.Record{Value: []byte{}}, 0); o.Null || len(o.Value) != 0 || o.Behind != 0 {
		t.Errorf("an empty value: %+v", o)
	}
	if o := captured(&kgo.Record{}, 0); !o.Null {
		t.Errorf("a null value: %+v", o)
	}
}

func TestATimestampIsThereOrNot(t *testing.T) {
	for ms, has := range map[int64]bool{-1: false, 0: true, 1: true, 9_223_372_036_855: true, 1<<52 + 7: true, 1<<57 - 1: true} {
		// As the client makes it of a record's milliseconds.
		o := captured(&kgo.Record{Timestamp: time.Unix(0, ms*1_000_000)}, 0)
		if o.HasTimestamp != has || has && o.TimestampMS != ms {
			t.Errorf("%d: %d %v", ms, o.TimestampMS, o.HasTimestamp)
		}
	}
}

// A record of 1 MB can have as many.
func TestARecordMayHaveHundredsOfThousandsOfHeaders(t *testing.T) {
	const names = 200_000
	r := &kgo.Record{Value: []byte("{}")}
	for i := range names + 1 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: strconv.Itoa(i % names), Value: []byte(strconv.Itoa(i))})
	}
	o := captured(r, 0)
	if len(o.Headers) != names || !slices.Equal(o.Headers[0].Values, []string{"0", strconv.Itoa(names)}) {
		t.Fatalf("%d headers, the first one: %q", len(o.Headers), o.Headers[0])
	}
	for i, h := range o.Headers[1:] {
		if h.Name != strconv.Itoa(i+1) || !slices.Equal(h.Values, []string{h.Name}) {
			t.Fatalf("%d: %q", i+1, h)
		}
	}
}

// Without that a batch of small records with large headers would take gigabytes.
func TestHeadersCountForTheSizeOfABatch(t *testing.T) {
	records := make([]*kgo.Record, 10)
	for i := range records {
		records[i] = &kgo.Record{Offset: int64(i), Headers: []kgo.RecordHeader{{Key: "h", Value: make([]byte, 1000)}}}
	}
	l := &lot{}
	if n := l.room(limits{count: 100, bytes: 3000}, records); n != 3 {
		t.Errorf("%d records", n)
	}
	l.add(fetched{records: records[:3]})
	if !l.full(limits{count: 100, bytes: 3000}) {
		t.Errorf("%d bytes", l.bytes)
	}
}

func TestABatchKeepsToItsLimits(t *testing.T) {
	records := make([]*kgo.Record, 10)
	for i := range records {
		records[i] = &kgo.Record{Offset: int64(i), Value: []byte("12345")}
	}
	for _, c := range []struct {
		most limits
		want []int
	}{
		{limits{count: 4, bytes: 1000}, []int{4, 4, 2}},
		{limits{count: 100, bytes: 11}, []int{3, 3, 3, 1}},
		{limits{count: 100, bytes: 1}, slices.Repeat([]int{1}, 10)},
		{limits{count: 100, bytes: 1000}, []int{10}},
	} {
		r := &reader{conf: &config{limits: c.most}, backlog: []fetched{{records: records[:7]}, {records: records[7:]}}}
		var got []int
		for {
			l := &lot{}
			for !l.full(c.most) && r.take(l) {
			}
			if l.empty() {
				break
			}
			got = append(got, l.count)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.most, got, c.want)
		}
	}
}
