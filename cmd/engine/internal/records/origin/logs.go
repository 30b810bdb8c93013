package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"ddpm/engine/internal/kafkaconn"
)

const (
	// settling is how long a new leader may take until it knows how far its log is committed.
	settling = 5 * time.Second
	// comparing bounds the look at all marks.
	comparing   = 30 * time.Second
	dialTimeout = 5 * time.Second
	// namedFetches is the last version of a fetch that names topics.
	namedFetches = 12
	// markBytes is what is fetched to see one mark, and answerBytes bounds those of all partitions of a leader.
	markBytes   = 64 << 10
	answerBytes = 4 << 20
	// ofTheEnd and ofTheStart ask for the ends of a log.
	ofTheEnd   = -1
	ofTheStart = -2
)

var errShort = errors.New("the log ends before a record that was read from it")

// logs looks whether the brokers' logs have certain records. It has a client of its own, whose connections live as long as it
// has questions: on the one on which the input waits for records, a broker would let others wait for as long.
type logs struct {
	addresses []string
	security  *kafkaconn.Security
	client    *kgo.Client
}

// look is at the marks of one partition, from the lowest offset on.
type look struct {
	at    place
	marks []mark
}

// compare returns ErrAnotherIncarnation if a log has another record at a mark, and errShort if it ends before one, which may
// pass. Of some partitions it may not be known, since they have no leader, say: why, it puts into unknown.
func (l *logs) compare(all map[place][]mark, unknown map[place]error) error {
	if err := l.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), comparing)
	defer cancel()
	leaders, err := l.leaders(ctx, all, unknown)
	if err != nil {
		return err
	}
	var short error
	for leader, looks := range leaders {
		for len(looks) > 0 {
			left, err := l.fetch(ctx, leader, looks, unknown, &short)
			if errors.Is(err, ErrAnotherIncarnation) {
				return err
			}
			if err != nil {
				for _, one := range looks {
					unknown[one.at] = err
				}
			}
			looks = left
		}
	}
	return short
}

func (l *logs) connect() error {
	if l.client != nil {
		return nil
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.Fetch.Int16(), namedFetches)
	opts := append(l.security.Options(),
		kgo.SeedBrokers(l.addresses...),
		kgo.ClientID("ddpm-incarnations"),
		kgo.MaxVersions(versions),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(dialTimeout),
	)
	client, err := kgo.NewClient(opts...)
	l.client = client
	return err
}

// leaders returns what to look at by leader. Of a partition that is gone there is nothing to be known.
func (l *logs) leaders(ctx context.Context, all map[place][]mark, unknown map[place]error) (map[int32][]look, error) {
	request := kmsg.NewPtrMetadataRequest()
	for at := range all {
		named := func(t kmsg.MetadataRequestTopic) bool { return *t.Topic == at.topic }
		if !slices.ContainsFunc(request.Topics, named) {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(at.topic)
			request.Topics = append(request.Topics, topic)
		}
	}
	response, err := request.RequestWith(ctx, l.client)
	if err != nil {
		return nil, err
	}
	found := map[int32][]look{}
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("%s: %w", *topic.Topic, err)
		}
		for _, partition := range topic.Partitions {
			at := place{*topic.Topic, partition.Partition}
			marks, wanted := all[at]
			if !wanted {
				continue
			}
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				unknown[at] = failed(at, err)
				continue
			}
			slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.offset, b.offset) })
			found[partition.Leader] = append(found[partition.Leader], look{at, marks})
		}
	}
	return found, nil
}

func failed(at place, err error) error { return fmt.Errorf("%s/%d: %w", at.topic, at.partition, err) }

// fetch asks a leader for the first mark of each partition, and returns what is left to look at.
func (l *logs) fetch(ctx context.Context, leader int32, looks []look, unknown map[place]error, short *error) ([]look, error) {
	answer, err := l.client.Broker(int(leader)).RetriableRequest(ctx, fetchRequest(looks))
	if err != nil {
		return nil, err
	}
	response := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	found := map[place]*kmsg.FetchResponseTopicPartition{}
	for _, topic := range response.Topics {
		for i := range topic.Partitions {
			found[place{topic.Topic, topic.Partitions[i].Partition}] = &topic.Partitions[i]
		}
	}
	var left []look
	for i, one := range looks {
		part := found[one.at]
		if part == nil {
			unknown[one.at] = failed(one.at, errors.New("the broker's answer is incomplete"))
			continue
		}
		seen, err := l.see(ctx, leader, one, part)
		if errors.Is(err, errShort) {
			// The marks behind this one are beyond the end as well.
			*short = err
			continue
		}
		if errors.Is(err, ErrAnotherIncarnation) {
			return nil, err
		}
		if err != nil {
			unknown[one.at] = err
			continue
		}
		// The first partition always finds room in an answer: where it has nothing there is nothing, unless a quota holds it back.
		if seen == 0 && i == 0 && response.ThrottleMillis == 0 {
			seen = 1
		}
		if seen < len(one.marks) {
			left = append(left, look{one.at, one.marks[seen:]})
		}
	}
	return left, nil
}

func fetchRequest(looks []look) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = 0, 1, answerBytes
	for _, one := range looks {
		partition := kmsg.NewFetchRequestTopicPartition()
		partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = one.at.partition, one.marks[0].offset, markBytes
		// The partitions of a topic stand together.
		if last := len(request.Topics) - 1; last >= 0 && request.Topics[last].Topic == one.at.topic {
			request.Topics[last].Partitions = append(request.Topics[last].Partitions, partition)
			continue
		}
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic = one.at.topic
		topic.Partitions = append(topic.Partitions, partition)
		request.Topics = append(request.Topics, topic)
	}
	return request
}

// see returns how many marks of a partition an answer settles: the log has their records, or it cannot be known because they have
// been removed.
func (l *logs) see(ctx context.Context, leader int32, one look, part *kmsg.FetchResponseTopicPartition) (int, error) {
	first := one.marks[0]
	switch err := kerr.ErrorForCode(part.ErrorCode); {
	case errors.Is(err, kerr.OffsetOutOfRange):
		start, err := l.offset(ctx, leader, one.at, ofTheStart)
		if err != nil {
			return 0, failed(one.at, err)
		}
		removed := 0
		for removed < len(one.marks) && one.marks[removed].offset < start {
			removed++
		}
		if removed == 0 {
			return 0, failed(one.at, errShort)
		}
		return removed, nil
	case err != nil:
		return 0, failed(one.at, err)
	case part.HighWatermark <= first.offset:
		return 0, failed(one.at, l.short(ctx, leader, one.at, first))
	}
	opts := kgo.ProcessFetchPartitionOpts{Offset: first.offset, Topic: one.at.topic, Partition: one.at.partition}
	page, next := kgo.ProcessFetchPartition(opts, part, kgo.DefaultDecompressor(), nil)
	if page.Err != nil && next <= first.offset {
		return 0, failed(one.at, page.Err)
	}
	digests := make(map[int64]uint32, len(page.Records))
	for _, r := range page.Records {
		digests[r.Offset] = digest(r.Key, r.Value, UnixMilli(r))
	}
	seen := 0
	for ; seen < len(one.marks) && one.marks[seen].offset < next; seen++ {
		m := one.marks[seen]
		if found, ok := digests[m.offset]; ok && found != m.digest {
			return 0, fmt.Errorf("%s/%d: another record at offset %d: %w", one.at.topic, one.at.partition, m.offset, ErrAnotherIncarnation)
		}
	}
	return seen, nil
}

// short returns errShort if a log ends before a mark for certain. A new leader has records that its followers have not
// told it to have yet: only to the question for the end of the log does it answer that it does not know.
func (l *logs) short(ctx context.Context, leader int32, at place, m mark) error {
	end, err := l.offset(ctx, leader, at, ofTheEnd)
	if err != nil {
		return err
	}
	if end > m.offset {
		return errors.New("the end of the log is being found out")
	}
	return errShort
}

// offset asks for one end of a log.
func (l *logs) offset(ctx context.Context, leader int32, at place, which int64) (int64, error) {
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition, partition.Timestamp = at.partition, which
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic, topic.Partitions = at.topic, append(topic.Partitions, partition)
	request := kmsg.NewPtrListOffsetsRequest()
	request.Topics = append(request.Topics, topic)
	answer, err := l.client.Broker(int(leader)).RetriableRequest(ctx, request)
	if err != nil {
		return 0, err
	}
	for _, topic := range answer.(*kmsg.ListOffsetsResponse).Topics {
		for _, partition := range topic.Partitions {
			return partition.Offset, kerr.ErrorForCode(partition.ErrorCode)
		}
	}
	return 0, errors.New("the broker's answer is incomplete")
}
