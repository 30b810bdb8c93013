package origin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/warpstreamlabs/bento/public/service"
)

// ErrAnotherIncarnation says that a topic was deleted and made again: nobody can tell from a record which of the two it
// was read from.
var ErrAnotherIncarnation = errors.New("the topic was made again, or has another log, since the engine was started")

// Incarnations asks the brokers whether topics are still those that the engine was started for. A topic's id never comes
// back, so an answer that was asked for after a record was read holds for that record. The id stays where a disk is restored
// or a replica without all records becomes the leader: whenever a connection is new or a leader another one, the records that
// were read last are looked at again.
type Incarnations struct {
	addresses []string
	conf      *sarama.Config
	ids       map[string]sarama.Uuid

	turn   sync.Mutex
	client sarama.Client
	marks  *marks
	// epochs are the leaders' epochs for which the marks were compared; empty with a new connection.
	epochs map[place]int32
	// short is since when a log ends before a mark.
	short time.Time
	// another is what was found once and stays so.
	another error

	mu   sync.Mutex
	next *round
}

// round is one question to the brokers, for all who asked before it began.
type round struct {
	done chan struct{}
	err  error
}

// Ticket is the answer for one batch.
type Ticket struct {
	asked *Incarnations

	mu    sync.Mutex
	round *round
}

// newIncarnations reads the ids that the topics had from an environment variable; nil when there are none to compare.
func newIncarnations(addresses []string, variable, marksVariable string) (*Incarnations, error) {
	text := os.Getenv(variable)
	if len(addresses) == 0 || text == "" {
		return nil, nil
	}
	var names map[string]string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, fmt.Errorf("the environment variable %q must hold a JSON object from topic to its id: %w", variable, err)
	}
	ids := map[string]sarama.Uuid{}
	for topic, id := range names {
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) != len(sarama.Uuid{}) {
			return nil, fmt.Errorf("the environment variable %q holds %q, which is not the id of a topic", variable, id)
		}
		ids[topic] = sarama.Uuid(raw)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	marks, err := marksFrom(marksVariable)
	if err != nil {
		return nil, err
	}
	conf := sarama.NewConfig()
	conf.ClientID = "ddpm-incarnations"
	conf.Version = sarama.V2_8_0_0
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Metadata.Full = false
	return &Incarnations{addresses: addresses, conf: conf, ids: ids, marks: marks}, nil
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
	return &Ticket{asked: i}
}

// ask begins to ask for a batch with these last records, by partition, and returns at once.
func (t *Ticket) ask(last map[place]*Origin) {
	if t == nil {
		return
	}
	t.asked.marks.add(last)
	t.round = t.asked.join()
}

func (i *Incarnations) join() *round {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.next == nil {
		i.next = &round{done: make(chan struct{})}
		go i.run(i.next)
	}
	return i.next
}

func (i *Incarnations) run(r *round) {
	i.turn.Lock()
	defer i.turn.Unlock()
	i.mu.Lock()
	// Who comes from now on needs an answer that is asked for from now on.
	i.next = nil
	i.mu.Unlock()
	r.err = i.ask()
	close(r.done)
}

func (i *Incarnations) ask() error {
	if i.another != nil {
		return i.another
	}
	if i.client == nil {
		client, err := sarama.NewClient(i.addresses, i.conf)
		if err != nil {
			return err
		}
		i.client = client
		i.epochs = map[place]int32{}
	}
	err := i.compare()
	if errors.Is(err, ErrAnotherIncarnation) {
		i.another = err
	} else if err != nil {
		_ = i.client.Close()
		i.client = nil
	}
	return err
}

// compareLogs looks at the records that were read last, if a leader is another one than when they were last looked at.
func (i *Incarnations) compareLogs(epochs map[place]int32) error {
	same := len(epochs) <= len(i.epochs)
	for at, epoch := range epochs {
		known, ok := i.epochs[at]
		same = same && ok && known == epoch
	}
	if same {
		return nil
	}
	err := i.marks.compare(i.client)
	if errors.Is(err, errShort) {
		if i.short.IsZero() {
			i.short = time.Now()
		}
		if time.Since(i.short) > settling {
			return fmt.Errorf("%w: %w", err, ErrAnotherIncarnation)
		}
		return err
	}
	if err == nil {
		i.short, i.epochs = time.Time{}, epochs
	}
	return err
}

func (i *Incarnations) compare() error {
	asked := map[int32]bool{}
	epochs := map[place]int32{}
	for topic := range i.ids {
		partitions, err := i.client.Partitions(topic)
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			// What was read from a topic that is gone was read from the one that was there.
			continue
		}
		if err != nil {
			return err
		}
		for _, partition := range partitions {
			leader, err := i.client.Leader(topic, partition)
			if err != nil {
				return err
			}
			if asked[leader.ID()] {
				continue
			}
			asked[leader.ID()] = true
			if err := i.compareWith(leader, epochs); err != nil {
				return err
			}
		}
	}
	return i.compareLogs(epochs)
}

// compareWith asks a broker that leads partitions: whoever hands out records of a new incarnation knows of it.
func (i *Incarnations) compareWith(broker *sarama.Broker, epochs map[place]int32) error {
	request := &sarama.MetadataRequest{Version: topicIDVersion}
	for topic := range i.ids {
		request.Topics = append(request.Topics, topic)
	}
	response, err := broker.GetMetadata(request)
	if err != nil {
		return err
	}
	for _, topic := range response.Topics {
		if topic.Err == sarama.ErrNoError && topic.Uuid != i.ids[topic.Name] {
			return fmt.Errorf("%s: %w", topic.Name, ErrAnotherIncarnation)
		}
		for _, partition := range topic.Partitions {
			// Brokers learn of a leader one after the other.
			at := place{topic.Name, partition.ID}
			epochs[at] = max(epochs[at], partition.LeaderEpoch)
		}
	}
	return nil
}

// topicIDVersion is the first version of the metadata that has the ids of topics.
const topicIDVersion = 10

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
	if err != nil {
		t.round = t.asked.join()
	}
	return err
}
