package input

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// fetchBytes bounds what a broker sends at once, and one part in partitionShare what of it is of one partition; a single
	// batch of a producer may be larger.
	fetchBytes     = 8 << 20
	fewestBytes    = 64 << 10
	partitionShare = 8
	// expandedBytes is what an answer may take in memory. What is waiting is about two such answers of each broker.
	expandedBytes = 16 << 20
	// recordBytes is what the client takes for a record beside its bytes.
	recordBytes = 200
	// firstExpansion is assumed until something was read.
	firstExpansion = 16
	// forgetting is how fast a smaller expansion is believed: by so much of what an answer may take.
	forgetting = 4
)

// expansion keeps answers of the brokers in bounds, which count bytes as they are on the wire: compressed ones may take
// hundreds of times as much here. Fewer are asked for where they grow.
type expansion struct {
	mu sync.Mutex
	// times is how much larger than on the wire records are in memory: it rises at once, and falls slowly.
	times float64
	ask   func(most, ofPartition int32)
}

var _ kgo.HookFetchBatchRead = (*expansion)(nil)

func newExpansion() *expansion { return &expansion{times: firstExpansion} }

// options let a client begin with little, and follow what is found.
func (e *expansion) options() []kgo.Opt {
	most := e.most()
	return []kgo.Opt{kgo.FetchMaxBytes(most), kgo.FetchMaxPartitionBytes(most / partitionShare), kgo.WithHooks(e)}
}

// follow asks for what is found from now on.
func (e *expansion) follow(ask func(most, ofPartition int32)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ask = ask
}

// OnFetchBatchRead takes note of a batch of a producer.
func (e *expansion) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, batch kgo.FetchBatchMetrics) {
	if batch.CompressedBytes <= 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.most()
	expanded := float64(batch.UncompressedBytes + recordBytes*batch.NumRecords)
	found := expanded / float64(batch.CompressedBytes)
	if found < e.times {
		found = e.times + (found-e.times)*min(1, forgetting*expanded/expandedBytes)
	}
	e.times = found
	if most := e.most(); most != before && e.ask != nil {
		e.ask(most, most/partitionShare)
	}
}

// most is how many bytes a broker may send at once.
func (e *expansion) most() int32 {
	return int32(max(fewestBytes, min(fetchBytes, expandedBytes/max(1, e.times))))
}
