package input

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/sink/flush"
)

const (
	sessionTimeout   = 10 * time.Second
	heartbeat        = 3 * time.Second
	rebalanceTimeout = 60 * time.Second
	// metadataMaxAge is how long a partition that is added may go unnoticed.
	metadataMaxAge = 3 * time.Second
	metadataMinAge = time.Second
	dialTimeout    = 5 * time.Second
	// connIdle keeps the connections to all brokers, of which each refresh of the metadata asks another one: behind a new
	// connection logs are compared. It is below what routers forget connections after.
	connIdle = 3 * time.Minute

	fetchMaxWait = 500 * time.Millisecond

	// quiet is how long nothing may arrive until the brokers are asked whether they are still there.
	quiet = 5 * time.Second
	// handOver bounds how long a partition that goes to another member is kept for what is on its way to be done. The
	// other one reads again what was not, and finds it done.
	handOver = 5 * time.Second
	// lastCommit bounds the commit before a partition is given away.
	lastCommit = 10 * time.Second
	// firstPause and longestPause are how long a batch that came back is kept.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// lookAround is how often who waits for records looks whether a batch has come back.
	lookAround = 500 * time.Millisecond
	// saidAgain is how often a trouble that stays is reported.
	saidAgain = time.Minute
	mostSaid  = 100
)

// reader is a member of a consumer group.
type reader struct {
	conf     *config
	log      *service.Logger
	received *service.MetricCounter
	formed   *service.MetricCounter
	lag      *service.MetricGauge
	tracker  *tracker
	commits  *commits
	reading  *origin.Reading
	flush    *flush.Signal
	// watched is done by the first ReadBatch: its context ends when the engine begins to.
	watched sync.Once

	// client is made by the first Connect, and stays.
	client *kgo.Client
	// backlog is what was fetched and not handed on yet. It belongs to ReadBatch, as does heard: when something arrived last.
	backlog []fetched
	heard   time.Time

	mu sync.Mutex
	// again are batches that came back; they go out before anything else.
	again []*lot
	// said is when each trouble was reported last.
	said    map[string]time.Time
	closing atomic.Bool
}

// fetched are records of one partition in the order of the log, with the end of the log.
type fetched struct {
	at      place
	of      *progress
	end     int64
	records []*kgo.Record
}

func newReader(c *config, mgr *service.Resources) *reader {
	r := &reader{
		conf:     c,
		log:      mgr.Logger(),
		received: mgr.Metrics().NewCounter(contract.RecordsReceived),
		formed:   mgr.Metrics().NewCounter("batch_created", "mechanism"),
		lag:      mgr.Metrics().NewGauge(contract.RecordsBehind, "topic", "partition"),
		reading:  origin.ReadingOf(mgr),
		flush:    flush.Of(mgr),
		said:     map[string]time.Time{},
	}
	r.commits = &commits{complain: r.complain, marked: map[place]int64{}, ended: make(chan struct{})}
	r.tracker = newTracker(r.commits.mark, func(at place, records int64) {
		r.lag.Set(records, at.topic, strconv.Itoa(int(at.partition)))
	})
	return r
}

func (r *reader) options() []kgo.Opt {
	isolation := kgo.ReadCommitted()
	if r.conf.uncommitted {
		isolation = kgo.ReadUncommitted()
	}
	return []kgo.Opt{
		kgo.SeedBrokers(r.conf.addresses...),
		kgo.ClientID(r.conf.clientID),
		kgo.WithLogger(logger{r.log}),
		kgo.WithHooks(r.reading),
		kgo.DialTimeout(dialTimeout),
		kgo.ConnIdleTimeout(connIdle),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.ConsumeTopics(r.conf.topics...),
		kgo.ConsumerGroup(r.conf.group),
		// The group is cooperative as soon as all of its members are; engines of before knew nothing but ranges.
		kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeat),
		kgo.RebalanceTimeout(rebalanceTimeout),
		// Where a new group begins ddpm commits itself. A partition without a committed offset was added since then, and
		// one whose offset retention has overtaken goes on at the first record that is left.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation),
		// The markers of transactions say that the log is read up to their offset.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(fetchMaxWait),
		// Between a poll and the look at whose records they are no partition changes hands.
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			r.tracker.assign(places(all))
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, all map[string][]int32) {
			r.giveAway(ctx, client, places(all))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			r.forget(places(all))
		}),
	}
}

// Connect returns when a broker answers. The group is joined behind it.
func (r *reader) Connect(ctx context.Context) error {
	if r.client == nil {
		growth := newExpansion()
		client, err := kgo.NewClient(slices.Concat(r.options(), r.conf.security.Options(), growth.options())...)
		if err != nil {
			return err
		}
		growth.follow(client.UpdateFetchMaxBytes)
		r.client = client
		r.reading.With(client)
		go r.commits.run(client)
	}
	return r.ping(ctx)
}

func (r *reader) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return r.client.Ping(ctx)
}

// ReadBatch returns the next batch: one that came back, or a new one, full or with what has arrived within the period.
func (r *reader) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	r.watched.Do(func() { context.AfterFunc(ctx, r.flush.End) })
	for {
		l := r.takeBack()
		if l == nil {
			var err error
			if l, err = r.gather(ctx); err != nil {
				return nil, nil, err
			}
		}
		if r.begin(l); !l.empty() {
			r.received.Incr(int64(l.count))
			r.formed.Incr(1, l.closedBy(r.conf.limits))
			return l.messages(r.conf), r.acknowledge(l), nil
		}
	}
}

// gather makes a batch of what arrives; an empty one after a while in which nothing does.
func (r *reader) gather(ctx context.Context) (*lot, error) {
	l := &lot{}
	until := time.Now().Add(lookAround)
	for !l.full(r.conf.limits) {
		if first := l.empty(); r.take(l) {
			if first {
				until = time.Now().Add(r.conf.limits.period)
			}
			continue
		}
		patience := time.Until(until)
		if patience <= 0 {
			break
		}
		if r.poll(ctx, patience) {
			r.heard = time.Now()
		}
		if ctx.Err() != nil {
			// What was taken is not done, so that nobody commits it.
			return nil, ctx.Err()
		}
	}
	if l.empty() && time.Since(r.heard) > quiet {
		if r.ping(ctx) != nil {
			return nil, service.ErrNotConnected
		}
		r.heard = time.Now()
	}
	return l, nil
}

// poll waits for records, at most so long, and keeps them for the batches to come.
func (r *reader) poll(ctx context.Context, patience time.Duration) (arrived bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := r.client.PollFetches(ctx)
	defer r.client.AllowRebalance()
	found.EachError(r.complain)
	found.EachPartition(func(p kgo.FetchTopicPartition) {
		at := place{p.Topic, p.Partition}
		if of := r.tracker.progressOf(at); of != nil && len(p.Records) > 0 {
			r.backlog = append(r.backlog, fetched{at, of, p.HighWatermark, p.Records})
			arrived = true
		}
	})
	return arrived
}

// take moves records from the backlog into a batch, as many as it takes; false if there are none.
func (r *reader) take(l *lot) bool {
	if len(r.backlog) == 0 {
		return false
	}
	f := &r.backlog[0]
	n := l.room(r.conf.limits, f.records)
	l.add(fetched{f.at, f.of, f.end, f.records[:n]})
	if f.records = f.records[n:]; len(f.records) == 0 {
		r.backlog[0] = fetched{}
		r.backlog = r.backlog[1:]
	}
	return true
}

// begin enters a batch into the progress of its partitions, and leaves out what belongs to somebody else by now.
func (r *reader) begin(l *lot) {
	if l.returns > 0 {
		l.keep(func(s *segment) bool { return !r.tracker.lost(s.part) })
		return
	}
	l.keep(func(s *segment) bool {
		s.part = r.tracker.begin(s.at, s.of, s.span, len(s.records))
		return s.part != nil && len(s.records) > 0
	})
}

// acknowledge returns what the engine calls when a batch is done, or has to be sent again.
func (r *reader) acknowledge(l *lot) service.AckFunc {
	return func(_ context.Context, err error) error {
		if err == nil {
			r.tracker.finish(l.parts())
			return nil
		}
		pause := min(longestPause, firstPause<<min(l.returns, 10))
		l.returns++
		time.AfterFunc(pause, func() { r.putBack(l) })
		return nil
	}
}

func (r *reader) putBack(l *lot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again = append(r.again, l)
}

func (r *reader) takeBack() *lot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.again) == 0 {
		return nil
	}
	back := r.again[0]
	r.again = r.again[1:]
	return back
}

// giveAway waits a while for what is on its way, commits what is done, and forgets the partitions.
func (r *reader) giveAway(ctx context.Context, client *kgo.Client, places []place) {
	defer r.flush.Ask()()
	deadline := time.Now().Add(handOver)
	timer := time.AfterFunc(handOver, r.tracker.wake)
	defer timer.Stop()
	r.tracker.await(places, func() bool { return r.closing.Load() || !time.Now().Before(deadline) })
	ctx, cancel := context.WithTimeout(ctx, lastCommit)
	defer cancel()
	r.commits.flush(ctx, client)
	r.forget(places)
}

// forget ends the commits of partitions that are another member's by now.
func (r *reader) forget(places []place) {
	r.tracker.forget(places)
	r.commits.forget(places)
}

// complain reports a trouble once, and again if it stays.
func (r *reader) complain(topic string, partition int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	text := err.Error()
	if topic != "" {
		text = fmt.Sprintf("%s/%d: %s", topic, partition, text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, known := r.said[text]; known && time.Since(last) < saidAgain {
		return
	}
	if len(r.said) > mostSaid {
		clear(r.said)
	}
	r.said[text] = time.Now()
	r.log.Errorf("Kafka: %s", text)
}

// Close commits what is done and leaves the group, so that others take the partitions over at once.
func (r *reader) Close(context.Context) error {
	r.closing.Store(true)
	r.tracker.wake()
	if r.client != nil {
		r.client.CloseAllowingRebalance()
		close(r.commits.ended)
	}
	return nil
}

func places(all map[string][]int32) []place {
	var found []place
	for topic, partitions := range all {
		for _, partition := range partitions {
			found = append(found, place{topic, partition})
		}
	}
	return found
}

// logger hands the client's own lines to the engine's log: only those that report trouble.
type logger struct{ log *service.Logger }

func (l logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l logger) Log(_ kgo.LogLevel, message string, pairs ...any) {
	l.log.With(pairs...).Debugf("Kafka client: %s", message)
}
