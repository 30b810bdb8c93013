package input

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWhatGrowsInMemoryIsAskedForInSmallParts(t *testing.T) {
	e := newExpansion()
	var most int32
	e.follow(func(all, ofPartition int32) {
		if most = all; ofPartition != all/partitionShare {
			t.Errorf("%d of %d for a partition", ofPartition, all)
		}
	})
	read := func(compressed, uncompressed, records, times int) {
		for range times {
			e.OnFetchBatchRead(kgo.BrokerMetadata{}, "events", 0,
				kgo.FetchBatchMetrics{NumRecords: records, UncompressedBytes: uncompressed, CompressedBytes: compressed})
		}
	}
	if e.most() > fetchBytes/4 {
		t.Errorf("begins with %d bytes", e.most())
	}
	if read(1<<20, 1<<20, 1000, 100); most != fetchBytes {
		t.Errorf("plain: %d", most)
	}
	if read(1<<20, 40<<20, 1000, 1); most > expandedBytes/40 {
		t.Errorf("compressed by 40: %d", most)
	}
	if read(1<<10, 16<<20, 1000, 1); most != fewestBytes {
		t.Errorf("compressed by 16,000: %d", most)
	}
	if read(0, 0, 0, 10); most != fewestBytes {
		t.Errorf("nothing: %d", most)
	}
	if read(1<<20, 1<<20, 1000, 1); most > fetchBytes/2 {
		t.Errorf("one batch is not believed at once: %d", most)
	}
	if read(1<<20, 1<<20, 1000, 100); most != fetchBytes {
		t.Errorf("plain again: %d", most)
	}
	// Of the smallest records it is not the bytes that take memory.
	if read(16<<10, 16<<10, 1600, 100); most > expandedBytes/15 {
		t.Errorf("records of a few bytes: %d", most)
	}
}
