package input

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ddpm/engine/internal/contract"
)

const (
	commitPeriod  = time.Second
	commitTimeout = 10 * time.Second
)

// commits brings to the group's coordinator up to where partitions are done. What is not taken is tried again with the next
// one. No leader's epoch is committed: where a log went back, ddpm decides where to go on, and not the client.
type commits struct {
	complain func(topic string, partition int32, err error)
	ended    chan struct{}

	mu     sync.Mutex
	marked map[place]int64

	// one is held while a commit is on its way: an older one must not come last.
	one sync.Mutex
}

// mark leaves an offset to the next commit.
func (c *commits) mark(at place, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked[at] = max(c.marked[at], next)
}

// forget drops what is not committed of partitions.
func (c *commits) forget(places []place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range places {
		delete(c.marked, at)
	}
}

// run commits from time to time until the end.
func (c *commits) run(client *kgo.Client) {
	ticker := time.NewTicker(commitPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
			c.flush(ctx, client)
			cancel()
		case <-c.ended:
			return
		}
	}
}

// flush commits all that is marked.
func (c *commits) flush(ctx context.Context, client *kgo.Client) {
	c.one.Lock()
	defer c.one.Unlock()
	c.mu.Lock()
	now := maps.Clone(c.marked)
	c.mu.Unlock()
	if len(now) == 0 {
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for at, next := range now {
		if offsets[at.topic] == nil {
			offsets[at.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[at.topic][at.partition] = kgo.EpochOffset{Epoch: -1, Offset: next}
	}
	client.CommitOffsetsSync(kgo.PreCommitFnContext(ctx, sign), offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				c.complain("", 0, err)
				return
			}
			c.taken(now, response)
		})
}

// sign says whose offsets these are, so that ddpm does not take those of others for its own.
func sign(request *kmsg.OffsetCommitRequest) error {
	own := cmp.Or(os.Getenv(contract.EnvCommit), contract.CommitOwn)
	for i := range request.Topics {
		partitions := request.Topics[i].Partitions
		for j := range partitions {
			partitions[j].Metadata = &own
		}
	}
	return nil
}

// taken strikes out what the coordinator has taken, unless more is done by now.
func (c *commits) taken(now map[place]int64, response *kmsg.OffsetCommitResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			at := place{topic.Topic, partition.Partition}
			err := kerr.ErrorForCode(partition.ErrorCode)
			if err == nil && c.marked[at] == now[at] {
				delete(c.marked, at)
			}
			// A rebalance is no trouble: the offset goes with the next commit, or its records are read again.
			if err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
				c.complain(at.topic, at.partition, err)
			}
		}
	}
}
