package origin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/warpstreamlabs/bento/public/service"
)

// ErrAnotherIncarnation says that a topic was deleted and made again: it cannot be known from a record which of the two it
// was read from.
var ErrAnotherIncarnation = errors.New("the topic was made again, or has another log, since the engine was started")

var errNoInput = errors.New("ddpm_origin has addresses, but there is no input ddpm_kafka that knows the leaders of partitions")

// questionTimeout bounds a question to one broker.
const questionTimeout = 5 * time.Second

// Incarnations asks the brokers whether topics are still those that the engine was started for. A topic's id never comes
// back, so an answer that was asked for after a record was read holds for that record. The id stays where a disk is restored
// or a replica without all records becomes the leader: whenever a connection is new or a leader another one, the records that
// were read last are looked at again.
type Incarnations struct {
	ids     map[string]TopicID
	reading *Reading
	marks   *marks
	logs    *logs

	turn sync.Mutex
	// compared has the standings for which the marks were compared.
	compared map[place]standing
	// short is since when a log ends before a mark.
	short time.Time
	// another is what was found once and stays so.
	another error

	mu   sync.Mutex
	next *round
}

// TopicID is Kafka's id of a topic.
type TopicID [16]byte

// standing is by what a log is known to be the one that was looked at: in one epoch its leader only appends, and to a broker
// that was started again connections are new.
type standing struct {
	epoch       int32
	connections uint64
}

// round is one question to the brokers, for all who asked before it began.
type round struct {
	// asked are the partitions whose leaders are asked.
	asked map[place]bool
	done  chan struct{}
	// unknown are partitions of which the brokers did not say it, and err is why they said it of none.
	unknown map[place]error
	err     error
}

// Ticket is the answer for one batch.
type Ticket struct {
	of *Incarnations

	mu    sync.Mutex
	asked map[place]bool
	round *round
}

// newIncarnations reads the ids that the topics had from an environment variable; nil when there are none to compare.
func newIncarnations(addresses []string, variable, marksVariable string, reading *Reading) (*Incarnations, error) {
	text := os.Getenv(variable)
	if len(addresses) == 0 || text == "" {
		return nil, nil
	}
	var names map[string]string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, fmt.Errorf("the environment variable %q must hold a JSON object from topic to its id: %w", variable, err)
	}
	ids := map[string]TopicID{}
	for topic, id := range names {
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) != len(TopicID{}) {
			return nil, fmt.Errorf("the environment variable %q holds %q, which is not the id of a topic", variable, id)
		}
		ids[topic] = TopicID(raw)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	marks, err := marksFrom(marksVariable)
	if err != nil {
		return nil, err
	}
	return &Incarnations{ids: ids, reading: reading, marks: marks, logs: &logs{addresses: addresses}}, nil
}

type incarnationsKey struct{}

// shared returns the one that all threads of a pipeline use.
func (i *Incarnations) shared(mgr *service.Resources) *Incarnations {
	if i == nil {
		return nil
	}
	one, _ := mgr.GetOrSetGeneric(incarnationsKey{}, i)
	return one.(*Incarnations)
}

// ticket returns one with which nothing is asked yet.
func (i *Incarnations) ticket() *Ticket {
	if i == nil {
		return nil
	}
	return &Ticket{of: i}
}

// ask begins to ask for a batch with these last records, by partition, and returns at once.
func (t *Ticket) ask(last map[place]*Origin) {
	if t == nil {
		return
	}
	t.asked = make(map[place]bool, len(last))
	for at := range last {
		t.asked[at] = true
	}
	t.of.marks.add(last)
	t.round = t.of.join(t.asked)
}

func (i *Incarnations) join(asked map[place]bool) *round {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next == nil {
		i.next = &round{asked: map[place]bool{}, unknown: map[place]error{}, done: make(chan struct{})}
		go i.run(i.next)
	}
	maps.Copy(i.next.asked, asked)
	return i.next
}

func (i *Incarnations) run(r *round) {
	i.turn.Lock()
	defer i.turn.Unlock()
	i.mu.Lock()
	// Who comes from now on needs an answer that is asked for from now on.
	i.next = nil
	i.mu.Unlock()
	r.err = i.ask(r)
	close(r.done)
}

func (i *Incarnations) ask(r *round) error {
	if i.another != nil {
		return i.another
	}
	err := i.compare(r)
	if errors.Is(err, ErrAnotherIncarnation) {
		i.another = err
	}
	return err
}

// compare asks the leaders. One that is down is no reason for what others lead to wait.
func (i *Incarnations) compare(r *round) error {
	client := i.reading.client.Load()
	if client == nil {
		return errNoInput
	}
	leaders := map[int32][]place{}
	for at := range r.asked {
		leader, _, err := client.PartitionLeader(at.topic, at.partition)
		if leader < 0 {
			r.unknown[at] = failed(at, cmp.Or(err, error(kerr.LeaderNotAvailable)))
			continue
		}
		leaders[leader] = append(leaders[leader], at)
	}
	answers := make(chan answer, len(leaders))
	for leader, led := range leaders {
		go func() {
			said := i.question(client.Broker(int(leader)))
			said.about = led
			answers <- said
		}()
	}
	var epochs map[place]int32
	var another error
	for range leaders {
		said := <-answers
		if errors.Is(said.err, ErrAnotherIncarnation) {
			another = said.err
		}
		if said.err != nil {
			for _, at := range said.about {
				r.unknown[at] = said.err
			}
			continue
		}
		if epochs == nil {
			epochs = map[place]int32{}
		}
		for at, epoch := range said.epochs {
			// Brokers learn of a leader one after the other.
			epochs[at] = max(epochs[at], epoch)
		}
	}
	if another != nil || epochs == nil {
		return another
	}
	return i.compareLogs(epochs, r.unknown)
}

// answer is what a broker says of the partitions that it was asked for: the epochs of the topics' leaders, or why that is of
// no use.
type answer struct {
	about  []place
	epochs map[place]int32
	err    error
}

// question asks a broker that leads partitions: anyone who hands out records of a new incarnation knows of it.
func (i *Incarnations) question(broker *kgo.Broker) answer {
	request := kmsg.NewPtrMetadataRequest()
	for name := range i.ids {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	ctx, cancel := context.WithTimeout(context.Background(), questionTimeout)
	defer cancel()
	got, err := broker.Request(ctx, request)
	if err != nil && ctx.Err() == nil {
		// The connection may just have been closed because nobody used it.
		got, err = broker.Request(ctx, request)
	}
	if err != nil {
		return answer{err: err}
	}
	response := got.(*kmsg.MetadataResponse)
	if response.Version < topicIDVersion {
		return answer{err: fmt.Errorf("a broker speaks version %d of the metadata, which has no ids of topics", response.Version)}
	}
	epochs := map[place]int32{}
	for _, topic := range response.Topics {
		// What was read from a topic that is gone was read from the one that was there.
		if topic.ErrorCode != 0 || topic.Topic == nil {
			continue
		}
		if topic.TopicID != i.ids[*topic.Topic] {
			return answer{err: fmt.Errorf("%s: %w", *topic.Topic, ErrAnotherIncarnation)}
		}
		for _, partition := range topic.Partitions {
			epochs[place{*topic.Topic, partition.Partition}] = partition.LeaderEpoch
		}
	}
	return answer{epochs: epochs}
}

// topicIDVersion is the first version of the metadata that has the ids of topics.
const topicIDVersion = 10

// compareLogs looks at the records that were read last of those partitions whose leader is another one than when they were last
// looked at, and of all behind a new connection. Where that does not go now, it is done before anything of that partition is
// confirmed.
func (i *Incarnations) compareLogs(epochs map[place]int32, unknown map[place]error) error {
	connections := i.reading.connections.Load()
	now := map[place]standing{}
	changed := i.marks.of(func(at place) bool {
		now[at] = standing{epochs[at], connections}
		was, ok := i.compared[at]
		return !ok || was != now[at]
	})
	if len(changed) == 0 {
		return nil
	}
	err := i.logs.compare(changed, unknown)
	for at := range unknown {
		delete(now, at)
	}
	if errors.Is(err, errShort) {
		if i.short.IsZero() {
			i.short = time.Now()
		}
		if time.Since(i.short) > settling {
			return fmt.Errorf("%w: %w", err, ErrAnotherIncarnation)
		}
	}
	if err == nil {
		i.short, i.compared = time.Time{}, now
	}
	return err
}

// Confirm returns nil once the brokers said that the topics are still the same. After an error the next call asks again.
func (t *Ticket) Confirm(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.round.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := t.round.err
	for at := range t.asked {
		err = cmp.Or(err, t.round.unknown[at])
	}
	if err != nil {
		t.round = t.of.join(t.asked)
	}
	return err
}
