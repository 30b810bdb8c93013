package origin

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mark is a record that was read: its offset, and a checksum that distinguishes it from one that another log has there.
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

// marks remembers the last records of each partition.
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

// of returns those of the partitions that are wanted.
func (m *marks) of(wanted func(place) bool) map[place][]mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[place][]mark{}
	for at, kept := range m.kept {
		if wanted(at) {
			found[at] = slices.Clone(kept)
		}
	}
	return found
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

// UnixMilli returns the milliseconds that a record has; -1 is Kafka's "no timestamp". The client counts in nanoseconds, which
// overflow in the year 2262: milliseconds times 2^6 · 15625, modulo 2^64. 15625 has an inverse there, so that all but the six
// highest bits come back: times are right up to the year 4,500,000.
func UnixMilli(r *kgo.Record) int64 {
	const inverse, lost = 0x790fb65668c26139, 6
	return int64(uint64(r.Timestamp.UnixNano())>>lost*inverse) << lost >> lost
}
