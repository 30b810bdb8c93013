package origin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// pipeline reads a broker's topic as the input does, and has tickets for what it reads.
type pipeline struct {
	t      *testing.T
	of     *Incarnations
	client *kgo.Client
}

func startPipeline(t *testing.T, b *broker) *pipeline {
	t.Helper()
	reading := &Reading{}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.address()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(20*time.Millisecond), kgo.MetadataMinAge(10*time.Millisecond), kgo.WithHooks(reading),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	reading.With(client)
	return &pipeline{t, incarnations(t, b, reading), client}
}

func incarnations(t *testing.T, b *broker, reading *Reading) *Incarnations {
	t.Helper()
	ids, err := json.Marshal(map[string]string{topic: base64.RawURLEncoding.EncodeToString(b.id[:])})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDS", string(ids))
	i, err := newIncarnations([]string{b.address()}, "IDS", "MARKS", reading)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// read returns the next records, as the input captures them.
func (p *pipeline) read() []*Origin {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		fetches := p.client.PollFetches(ctx)
		if ctx.Err() != nil {
			p.t.Fatal("no records")
		}
		var found []*Origin
		fetches.EachRecord(func(r *kgo.Record) {
			found = append(found, &Origin{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset, Value: r.Value})
		})
		if len(found) > 0 {
			return found
		}
	}
}

func ask(i *Incarnations, records ...*Origin) *Ticket {
	var last lastRecords
	for _, o := range records {
		last.add(o)
	}
	ticket := i.ticket()
	ticket.ask(last.byPlace())
	return ticket
}

func confirm(t *testing.T, ticket *Ticket) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := ticket.Confirm(ctx)
	if ctx.Err() != nil {
		t.Fatal("no answer")
	}
	return err
}

// The topic may be made again between the reading and the question, and between one question and the next.
func TestTheAnswerOfBeforeDoesNotHoldForTheNextBatch(t *testing.T) {
	b := startBroker(t, []string{"a"})
	p := startPipeline(t, b)
	records := p.read()
	for range 2 {
		if err := confirm(t, ask(p.of, records...)); err != nil {
			t.Fatal(err)
		}
	}
	b.change(func() { b.unknown = true })
	if err := confirm(t, ask(p.of, records...)); err != nil {
		t.Errorf("the topic is gone: %v", err)
	}
	b.change(func() { b.unknown, b.id = false, TopicID{2} })
	if err := confirm(t, ask(p.of, records...)); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("the topic was made again: %v", err)
	}
	b.change(func() { b.id = TopicID{1} })
	if err := confirm(t, ask(p.of, records...)); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("what was found is forgotten: %v", err)
	}
}

// Other brokers may learn of the new topic later.
func TestOnlyTheLeadersAnswerCounts(t *testing.T) {
	for range 8 {
		leader, other := startBroker(t, []string{"a"}), startBroker(t, []string{"a"})
		other.node, other.peers, leader.peers = 2, []*broker{leader}, []*broker{other}
		p := startPipeline(t, other)
		records := p.read()
		leader.change(func() { leader.id = TopicID{2} })
		if err := confirm(t, ask(p.of, records...)); !errors.Is(err, ErrAnotherIncarnation) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestOneQuestionIsForAllPartitionsOfALeader(t *testing.T) {
	b := startBroker(t, []string{"a"}, []string{"b"}, []string{"c"}, []string{"d"})
	p := startPipeline(t, b)
	var records []*Origin
	for len(records) < len(b.logs) {
		records = append(records, p.read()...)
	}
	if err := confirm(t, ask(p.of, records...)); err != nil {
		t.Fatal(err)
	}
	// The client's own questions are minutes apart.
	before := b.counts()
	if err := confirm(t, ask(p.of, records...)); err != nil {
		t.Fatal(err)
	}
	after := b.counts()
	if asked := after[kmsg.Metadata] - before[kmsg.Metadata]; asked != 1 {
		t.Errorf("%d questions", asked)
	}
}

func TestABrokerThatKnowsNoIdsConfirmsNothing(t *testing.T) {
	b := startBroker(t, []string{"a"})
	b.metadataVersion = 9
	p := startPipeline(t, b)
	err := confirm(t, ask(p.of, p.read()...))
	if err == nil || errors.Is(err, ErrAnotherIncarnation) || !strings.Contains(err.Error(), "version 9") {
		t.Error(err)
	}
}

func TestBehindANewConnectionLogsAreCompared(t *testing.T) {
	b := startBroker(t, []string{"a", "b"})
	p := startPipeline(t, b)
	if err := confirm(t, ask(p.of, p.read()...)); err != nil {
		t.Fatal(err)
	}
	b.change(func() { b.logs[0] = []string{"a", "x", "y"} })
	b.restart()
	if err := confirm(t, ask(p.of, p.read()...)); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("got %v", err)
	}
}

func TestBehindANewEpochLogsAreCompared(t *testing.T) {
	b := startBroker(t, []string{"a", "b"})
	p := startPipeline(t, b)
	records := p.read()
	if err := confirm(t, ask(p.of, records...)); err != nil {
		t.Fatal(err)
	}
	b.change(func() { b.logs[0][1] = "x" })
	if err := confirm(t, ask(p.of, records[0])); err != nil {
		t.Fatalf("in the same epoch: %v", err)
	}
	b.change(func() { b.epoch++ })
	if err := confirm(t, ask(p.of, records[0])); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("in a new epoch: %v", err)
	}
}

func TestAPartitionWithoutALeaderHoldsUpNoOther(t *testing.T) {
	b := startBroker(t, []string{"a"}, []string{"b"})
	p := startPipeline(t, b)
	of := map[int]*Origin{}
	for len(of) < len(b.logs) {
		for _, o := range p.read() {
			of[o.Partition] = o
		}
	}
	if err := confirm(t, ask(p.of, of[0], of[1])); err != nil {
		t.Fatal(err)
	}
	b.change(func() {
		b.leaderless = map[int32]bool{1: true}
		b.epoch++
	})
	b.restart()
	// The first question may find the connection closed.
	_ = confirm(t, ask(p.of, of[0]))
	if err := confirm(t, ask(p.of, of[0])); err != nil {
		t.Errorf("another one: %v", err)
	}
	if err := confirm(t, ask(p.of, of[1])); !errors.Is(err, kerr.LeaderNotAvailable) {
		t.Errorf("the one without: %v", err)
	}
	b.change(func() {
		b.leaderless = nil
		b.logs[1] = []string{"x"}
	})
	if err := confirm(t, ask(p.of, of[1])); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("its log is not looked at when it has one again: %v", err)
	}
}

func TestALogThatEndsBeforeWhatWasReadMayOnlyBeLate(t *testing.T) {
	b := startBroker(t, []string{"a", "b", "c"})
	p := startPipeline(t, b)
	records := p.read()
	b.change(func() { b.logs[0] = b.logs[0][:2] })
	ticket := ask(p.of, records...)
	if err := confirm(t, ticket); !errors.Is(err, errShort) || errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("at first: %v", err)
	}
	p.of.turn.Lock()
	p.of.short = time.Now().Add(-2 * settling)
	p.of.turn.Unlock()
	// The first question after that may have been asked before.
	_ = confirm(t, ticket)
	if err := confirm(t, ticket); !errors.Is(err, ErrAnotherIncarnation) {
		t.Errorf("after a while: %v", err)
	}
}

func TestALeaderThatDoesNotKnowItsEndYetHasNoOtherLog(t *testing.T) {
	for name, set := range map[string]func(b *broker){
		"unknown":   func(b *broker) { b.endCode = kerr.OffsetNotAvailable.Code },
		"just seen": func(b *broker) { b.end = 3 },
	} {
		b := startBroker(t, []string{"a", "b", "c"})
		p := startPipeline(t, b)
		records := p.read()
		b.change(func() {
			b.logs[0] = b.logs[0][:2]
			set(b)
		})
		p.of.short = time.Now().Add(-2 * settling)
		err := confirm(t, ask(p.of, records...))
		if err == nil || errors.Is(err, errShort) || errors.Is(err, ErrAnotherIncarnation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutTheInputNobodyKnowsWhomToAsk(t *testing.T) {
	b := startBroker(t, []string{"a"})
	i := incarnations(t, b, &Reading{})
	if err := confirm(t, ask(i, &Origin{Topic: topic})); !errors.Is(err, errNoInput) {
		t.Error(err)
	}
}

func TestWithoutIdsNobodyIsAsked(t *testing.T) {
	t.Setenv("IDS", "{}")
	i, err := newIncarnations([]string{"127.0.0.1:1"}, "IDS", "MARKS", &Reading{})
	if err != nil || i != nil {
		t.Fatalf("%v %v", i, err)
	}
	ticket := ask(i, &Origin{Topic: topic})
	if err := ticket.Confirm(context.Background()); err != nil {
		t.Error(err)
	}
}
