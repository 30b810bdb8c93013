package origin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// mark is a record that was read: its offset, and a checksum that tells it from one that another log has there.
type mark struct {
	offset int64
	digest uint32
}

type place struct {
	topic     string
	partition int32
}

// keptMarks is how many records are remembered of each partition: the last one of each batch, for more batches than are
// on their way at once, since it is noticed late that a broker was started again.
const keptMarks = 32

// settling is how long a new leader may take until it knows how far its log is committed.
const settling = 5 * time.Second

// fetchVersion is one that brokers since 2.3 have, and that still names topics.
const fetchVersion = 11

const fetchBytes = 64 * 1024

// marks remembers the last records of each partition, and finds out whether a log still has them.
type marks struct {
	mu   sync.Mutex
	kept map[place][]mark
}

// marksFrom reads what ddpm knew when it started the engine: by topic and partition, an offset and its checksum.
func marksFrom(variable string) (*marks, error) {
	m := &marks{kept: map[place][]mark{}}
	text := os.Getenv(variable)
	if text == "" {
		return m, nil
	}
	var given map[string]map[int32][2]int64
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return nil, fmt.Errorf("the environment variable %q must hold a JSON object of marks: %w", variable, err)
	}
	for topic, partitions := range given {
		for partition, one := range partitions {
			m.kept[place{topic, partition}] = []mark{{one[0], uint32(one[1])}}
		}
	}
	return m, nil
}

// lastRecords gathers the last record of each partition in a batch, which mostly is of one partition.
type lastRecords struct {
	latest *Origin
	others map[place]*Origin
}

func (l *lastRecords) add(o *Origin) {
	if before := l.latest; before != nil && (before.Partition != o.Partition || before.Topic != o.Topic) {
		if l.others == nil {
			l.others = map[place]*Origin{}
		}
		l.others[placeOf(before)] = before
	}
	l.latest = o
}

func (l *lastRecords) byPlace() map[place]*Origin {
	if l.latest == nil {
		return nil
	}
	if l.others == nil {
		l.others = make(map[place]*Origin, 1)
	}
	l.others[placeOf(l.latest)] = l.latest
	return l.others
}

func placeOf(o *Origin) place { return place{o.Topic, int32(o.Partition)} }

// add remembers the last record of each partition in a batch.
func (m *marks) add(last map[place]*Origin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at, o := range last {
		kept := append(m.kept[at], mark{o.Offset, digestOf(o)})
		if len(kept) > keptMarks {
			kept = kept[len(kept)-keptMarks:]
		}
		m.kept[at] = kept
	}
}

func (m *marks) all() map[place][]mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[place][]mark, len(m.kept))
	for at, kept := range m.kept {
		all[at] = append([]mark(nil), kept...)
	}
	return all
}

func digestOf(o *Origin) uint32 {
	ms := int64(-1)
	if o.HasTimestamp {
		ms = o.TimestampMS
	}
	return digest([]byte(o.Key), o.Value, ms)
}

// digest is the CRC-32 of a record; ddpm computes the same one (broker/wire.py).
func digest(key, value []byte, ms int64) uint32 {
	sum := crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, value)
	// Only a sane time, from 2001 to 2096: clients make different numbers of the others.
	if ms < 1_000_000_000_000 || ms >= 4_000_000_000_000 {
		return sum
	}
	var moment [8]byte
	binary.BigEndian.PutUint64(moment[:], uint64(ms))
	return crc32.Update(sum, crc32.IEEETable, moment[:])
}

// unixMilli undoes what the client makes of Kafka's "no timestamp" (-1): it counts from the year 1 where a batch of records
// begins with one that has none, also for the records behind it.
func unixMilli(moment time.Time) int64 {
	ms := moment.UnixMilli()
	if ms < 0 {
		ms -= zeroTimeMS + 1
	}
	return max(ms, -1)
}

var errShort = errors.New("the log ends before a record that was read from it")

// compare looks at all marks; it returns ErrAnotherIncarnation if a log has another record at one of them, and errShort
// if it ends before one, which may pass.
func (m *marks) compare(client sarama.Client) error {
	var short error
	for at, kept := range m.all() {
		for _, one := range kept {
			switch err := holds(client, at, one); {
			case errors.Is(err, errShort):
				short = fmt.Errorf("%s/%d: %w", at.topic, at.partition, err)
			case err != nil:
				return err
			}
		}
	}
	return short
}

// holds returns nil if a log has the record of a mark, or if nobody can tell because it has been removed.
func holds(client sarama.Client, at place, one mark) error {
	leader, err := client.Leader(at.topic, at.partition)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil
	}
	if err != nil {
		return err
	}
	request := &sarama.FetchRequest{Version: fetchVersion, MinBytes: 1, MaxBytes: fetchBytes, SessionEpoch: -1}
	request.AddBlock(at.topic, at.partition, one.offset, fetchBytes, -1)
	response, err := leader.Fetch(request)
	if err != nil {
		return err
	}
	block := response.GetBlock(at.topic, at.partition)
	switch {
	case block == nil:
		return sarama.ErrIncompleteResponse
	case block.Err == sarama.ErrOffsetOutOfRange:
		start, err := client.GetOffset(at.topic, at.partition, sarama.OffsetOldest)
		if err != nil || start > one.offset {
			return err
		}
		return errShort
	case block.Err != sarama.ErrNoError:
		return block.Err
	case block.HighWaterMarkOffset <= one.offset:
		return short(client, at, one)
	}
	if found, ok := recordAt(block, one.offset); ok && found != one.digest {
		return fmt.Errorf("%s/%d: another record at offset %d: %w", at.topic, at.partition, one.offset, ErrAnotherIncarnation)
	}
	return nil
}

// short returns errShort if a log ends before a mark for certain. A new leader has records that its followers have not
// told it to have yet: only to the question for the end of the log does it answer that it does not know.
func short(client sarama.Client, at place, one mark) error {
	end, err := client.GetOffset(at.topic, at.partition, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	if end > one.offset {
		return fmt.Errorf("%s/%d: the end of the log is being found out", at.topic, at.partition)
	}
	return errShort
}

// recordAt returns the checksum of the record at an offset; false if there is none, or none of the present format.
func recordAt(block *sarama.FetchResponseBlock, offset int64) (uint32, bool) {
	for _, records := range block.RecordsSet {
		batch := records.RecordBatch
		if batch == nil || batch.Control {
			continue
		}
		for _, record := range batch.Records {
			if batch.FirstOffset+record.OffsetDelta != offset {
				continue
			}
			moment := batch.FirstTimestamp.Add(record.TimestampDelta)
			if batch.LogAppendTime {
				moment = batch.MaxTimestamp
			}
			return digest(record.Key, record.Value, unixMilli(moment)), true
		}
	}
	return 0, false
}
