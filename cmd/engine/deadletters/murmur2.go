package deadletters

import (
	"encoding/binary"
	"hash"

	"github.com/IBM/sarama"
)

// partitioner puts a key where the clients of the Java family would put it.
func partitioner() sarama.PartitionerConstructor {
	return sarama.NewCustomPartitioner(
		sarama.WithAbsFirst(),
		sarama.WithCustomHashFunction(func() hash.Hash32 { return &murmur2{} }),
	)
}

// murmur2 is the hash of Kafka's own client, which differs from the usual one in its seed.
type murmur2 struct{ data []byte }

func (m *murmur2) Write(p []byte) (int, error) {
	m.data = append(m.data, p...)
	return len(p), nil
}

func (m *murmur2) Sum(b []byte) []byte { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur2) Reset()              { m.data = m.data[:0] }
func (m *murmur2) Size() int           { return 4 }
func (m *murmur2) BlockSize() int      { return 4 }

func (m *murmur2) Sum32() uint32 {
	const seed, mix, shift = 0x9747b28c, 0x5bd1e995, 24
	rest := m.data
	h := uint32(seed) ^ uint32(len(rest))
	for ; len(rest) >= 4; rest = rest[4:] {
		k := binary.LittleEndian.Uint32(rest) * mix
		k = (k ^ k>>shift) * mix
		h = h*mix ^ k
	}
	if len(rest) > 0 {
		for i := len(rest) - 1; i >= 0; i-- {
			h ^= uint32(rest[i]) << (8 * i)
		}
		h *= mix
	}
	h = (h ^ h>>13) * mix
	return h ^ h>>15
}
