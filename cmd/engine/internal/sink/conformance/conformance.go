// Package conformance is what every sink has to pass at its real server. Run takes a sink's destinations and goes
// through what happens to one: outages before a batch and in the middle of it, a server that is slow, silent or refuses
// everything, records that are refused alone and among others, redelivery, and ends of the engine while it waits.
//
// A sink passes if every good record is in its destination in the end, none of them was a dead letter or was
// acknowledged earlier, every bad one is a dead letter, and nothing else is; and if it says that it waits while it does.
package conformance

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/enginetest"
)

// Target is a sink to try.
type Target struct {
	// Waiting is the metric of batches that wait, and Says what stands in the line of the log about it.
	Waiting, Says string
	// Idempotent says that a record that comes again changes nothing. Without it the suite wants every record there at
	// least once.
	Idempotent bool
	// InSilence says that the sink gives up on a server that is silent, after a second or two as it is configured here.
	InSilence bool
	// RefusesNone says that the sink takes whatever a record holds.
	RefusesNone bool
	// Audited says that the sink keeps the books of the audit.
	Audited bool
	// Patience is how long the suite waits for anything; 0 for long enough.
	Patience time.Duration
	// New makes a destination of its own for one case, on the real server. It may end the test as skipped if there is none.
	New func(t testing.TB) Destination
}

// Destination is one table, topic, folder … and the sink that writes it.
type Destination struct {
	// Server is host:port of the server. The suite puts a proxy in front of it.
	Server string
	// Prepare, if it is there, gets the proxy before anything goes through it.
	Prepare func(p *enginetest.Proxy)
	// Config returns the output's configuration in YAML, with the server at an address.
	Config func(address string) string
	// Good returns a document that the sink takes. Bad returns one that it refuses, if it refuses any.
	Good, Bad func(n int) string
	// Stored returns the offsets of the records that are in the destination, each as often as it is there.
	Stored func() []int64
	// Refuse makes the destination refuse everything, whatever it holds, and returns what ends that.
	Refuse func() (end func())
}

const (
	patience = 20 * time.Second
	// pieces is at how many places of a batch its connection is cut.
	pieces = 5
)

// Run tries a sink. It takes a while, and is left out in the short form of a test run.
func Run(t *testing.T, target Target) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if target.Patience == 0 {
		target.Patience = patience
	}
	always := true
	for _, each := range []struct {
		name    string
		do      func(*trial)
		applies bool
	}{
		{"good records arrive", (*trial).arrive, always},
		{"outage before the start", (*trial).outageBeforeTheStart, always},
		{"outage before a batch", (*trial).outageBeforeABatch, always},
		{"outages during a batch", (*trial).outagesDuringABatch, always},
		{"many batches in outages", (*trial).manyInOutages, always},
		{"slow", (*trial).slow, always},
		{"silent", (*trial).silent, target.InSilence},
		{"refusing everything", (*trial).refusing, always},
		{"a refused record alone", (*trial).refusedAlone, !target.RefusesNone},
		{"refused records among others", (*trial).refusedAmongOthers, !target.RefusesNone},
		{"refused records in outages", (*trial).refusedInOutages, !target.RefusesNone},
		{"redelivery", (*trial).redelivery, always},
		{"drain during an outage", (*trial).drainDuringAnOutage, always},
		{"cancelled in the middle", (*trial).cancelled, always},
	} {
		if !each.applies {
			continue
		}
		t.Run(each.name, func(t *testing.T) {
			d := target.New(t)
			tr := &trial{T: t, target: target, Destination: d, proxy: enginetest.NewProxy(t, d.Server)}
			if d.Prepare != nil {
				d.Prepare(tr.proxy)
			}
			each.do(tr)
		})
	}
}

// trial is one case.
type trial struct {
	*testing.T
	Destination
	target Target
	proxy  *enginetest.Proxy
	stream *enginetest.Stream

	mu   sync.Mutex
	said int
	// read are the records that were sent, each time.
	read int64
}

func (t *trial) start() {
	t.Helper()
	output := "fallback:\n  - reject_errored:\n      " + strings.ReplaceAll(t.Config(t.proxy.Address()), "\n", "\n      ") + `
  - capture:
      key: ${! metadata("ddpm_key") }
      metadata: {exclude_prefixes: [ddpm_key]}
    processors:
      - ddpm_dead_letter: {pipeline: p}
`
	t.stream = enginetest.Start(t.T, []string{"ddpm_origin: {}"}, output, t.hear)
}

func (t *trial) hear(line string) {
	if strings.Contains(line, t.target.Says) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.said++
	}
}

func (t *trial) outages() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said
}

func (t *trial) record(offset int, document func(int) string) enginetest.Record {
	return enginetest.Record{
		Topic: "events", Partition: 4, Offset: int64(offset), Key: fmt.Sprintf("key-%d", offset),
		Value: []byte(document(offset)), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(offset)),
	}
}

// records returns records for the offsets from, up to but not including, to; those of bad are refused.
func (t *trial) records(from, to int, bad ...int) []enginetest.Record {
	var records []enginetest.Record
	for i := from; i < to; i++ {
		document := t.Good
		if slices.Contains(bad, i) {
			document = t.Bad
		}
		records = append(records, t.record(i, document))
	}
	return records
}

// send sends a batch and returns what says how that ended.
func (t *trial) send(records ...enginetest.Record) <-chan error {
	t.read += int64(len(records))
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), t.target.Patience)
		defer cancel()
		done <- t.stream.Produce(ctx, records...)
	}()
	return done
}

func (t *trial) acknowledged(done <-chan error) {
	t.Helper()
	if err := <-done; err != nil {
		t.Fatalf("the batch was not acknowledged: %v", err)
	}
}

func (t *trial) waiting() bool { return t.stream.Metrics.Get(t.target.Waiting) > 0 }

func (t *trial) await(what string, ready func() bool) {
	t.Helper()
	enginetest.Await(t, t.target.Patience, what, ready)
}

// waits checks that a batch waits, and that it says so.
func (t *trial) waits(done <-chan error) {
	t.Helper()
	t.await("the line of the log and the metric of those that wait", func() bool {
		select {
		case err := <-done:
			t.Fatalf("the batch did not wait: %v", err)
		default:
		}
		return t.outages() > 0 && t.waiting()
	})
}

// holds checks what became of the records from 0 up to, but not including, to.
func (t *trial) holds(to int, bad ...int) {
	t.Helper()
	var want, dead []int64
	for i := range to {
		if slices.Contains(bad, i) {
			dead = append(dead, int64(i))
		} else {
			want = append(want, int64(i))
		}
	}
	stored := t.Stored()
	slices.Sort(stored)
	if !t.target.Idempotent {
		stored = slices.Compact(stored)
	}
	if !slices.Equal(stored, want) {
		t.Errorf("the destination holds %v, want %v", stored, want)
	}
	var letters []int64
	for _, letter := range t.stream.Dead.Sent() {
		offset, err := strconv.ParseInt(letter.Headers[contract.HeaderOffset], 10, 64)
		if err != nil {
			t.Errorf("a dead letter without an offset: %v", letter.Headers)
		}
		letters = append(letters, offset)
	}
	slices.Sort(letters)
	if !slices.Equal(letters, dead) {
		t.Errorf("the dead letters are %v, want %v", letters, dead)
	}
	t.await("the end of all waiting", func() bool { return !t.waiting() })
}

// balanced checks the books: every record that was read became something, and of the bad ones the dead-letter output
// would say so.
func (t *trial) balanced(bad int64) {
	t.Helper()
	if !t.target.Audited {
		return
	}
	get := func(name string) int64 { return t.stream.Metrics.Get(name) }
	t.await("books that balance", func() bool {
		settled := get(contract.AuditRows) + get(contract.AuditDuplicates) + get(contract.AuditDead)
		return get(contract.AuditRead) == t.read && settled == t.read-bad
	})
	if n := t.stream.Metrics.Get(contract.AuditDuplicates, contract.Unexpected); n != 0 {
		t.Errorf("%d duplicates are a surprise", n)
	}
}

func (t *trial) arrive() {
	t.start()
	t.acknowledged(t.send(t.records(0, 1)...))
	t.acknowledged(t.send(t.records(1, 3)...))
	t.acknowledged(t.send(t.records(3, 500)...))
	t.holds(500)
	if n := t.outages(); n != 0 {
		t.Errorf("%d outages were reported where there was none", n)
	}
	t.balanced(0)
}

func (t *trial) outageBeforeTheStart() {
	t.proxy.Away()
	t.start()
	done := t.send(t.records(0, 5)...)
	t.waits(done)
	t.proxy.Back()
	t.acknowledged(done)
	t.holds(5)
	if n := t.outages(); n != 1 {
		t.Errorf("%d lines for one outage", n)
	}
}

func (t *trial) outageBeforeABatch() {
	t.start()
	t.acknowledged(t.send(t.records(0, 5)...))
	t.proxy.Away()
	done := t.send(t.records(5, 10)...)
	other := t.send(t.records(10, 11)...)
	t.waits(done)
	t.proxy.Back()
	t.acknowledged(done)
	t.acknowledged(other)
	t.holds(11)
	t.balanced(0)
}

// outagesDuringABatch cuts the connection of each batch at another place.
func (t *trial) outagesDuringABatch() {
	t.start()
	const size = 50
	length := 0
	for _, r := range t.records(0, size) {
		length += len(r.Value)
	}
	for n := range pieces {
		cuts := t.proxy.Cuts()
		t.proxy.CutAfter(n * length / (pieces - 1))
		done := t.send(t.records(n*size, (n+1)*size)...)
		t.acknowledged(done)
		if n < pieces-1 && t.proxy.Cuts() == cuts {
			t.Errorf("no connection was cut after %d bytes", n*length/(pieces-1))
		}
	}
	t.holds(pieces * size)
	t.balanced(0)
}

// manyInOutages cuts connections while several batches are written at the same time.
func (t *trial) manyInOutages() {
	t.start()
	const batches, size, atOnce = 40, 50, 8
	var running []<-chan error
	for n := range batches {
		if n%atOnce == 0 {
			t.proxy.CutAfter(100 * n)
		}
		running = append(running, t.send(t.records(n*size, (n+1)*size)...))
		if len(running) == atOnce {
			t.acknowledged(running[0])
			running = running[1:]
		}
	}
	for _, done := range running {
		t.acknowledged(done)
	}
	if t.proxy.Cuts() == 0 {
		t.Error("no connection was cut")
	}
	t.holds(batches * size)
	t.balanced(0)
}

func (t *trial) slow() {
	t.start()
	t.proxy.SlowDown(30 * time.Millisecond)
	t.acknowledged(t.send(t.records(0, 100)...))
	t.holds(100)
	if n := t.outages(); n != 0 {
		t.Errorf("%d outages were reported where the server is slow", n)
	}
}

func (t *trial) silent() {
	t.start()
	t.acknowledged(t.send(t.records(0, 5)...))
	t.proxy.Freeze()
	done := t.send(t.records(5, 10)...)
	t.waits(done)
	t.proxy.Thaw()
	t.acknowledged(done)
	t.holds(10)
	t.balanced(0)
}

func (t *trial) refusing() {
	t.start()
	t.acknowledged(t.send(t.records(0, 5)...))
	end := t.Refuse()
	done := t.send(t.records(5, 10)...)
	t.waits(done)
	end()
	t.acknowledged(done)
	t.holds(10)
	t.balanced(0)
}

func (t *trial) refusedAlone() {
	t.start()
	t.acknowledged(t.send(t.records(0, 1)...))
	t.acknowledged(t.send(t.records(1, 2, 1)...))
	t.acknowledged(t.send(t.records(2, 3)...))
	t.holds(3, 1)
	t.balanced(1)
}

func (t *trial) refusedAmongOthers() {
	t.start()
	bad := []int{1, 2, 5, 10, 57, 58, 99, 101}
	for _, ends := range [][2]int{{0, 2}, {2, 4}, {4, 7}, {7, 100}, {100, 104}} {
		t.acknowledged(t.send(t.records(ends[0], ends[1], bad...)...))
	}
	t.holds(104, bad...)
	t.balanced(int64(len(bad)))
}

func (t *trial) refusedInOutages() {
	t.start()
	bad := []int{3, 40, 41, 77}
	for n := range 4 {
		t.proxy.CutAfter(300 * n)
		t.acknowledged(t.send(t.records(20*n, 20*(n+1), bad...)...))
	}
	t.holds(80, bad...)
	t.balanced(int64(len(bad)))
}

func (t *trial) redelivery() {
	t.start()
	for range 2 {
		t.acknowledged(t.send(t.records(0, 20)...))
	}
	t.acknowledged(t.send(t.records(10, 30)...))
	t.holds(30)
	t.balanced(0)
}

func (t *trial) drainDuringAnOutage() {
	t.start()
	t.acknowledged(t.send(t.records(0, 1)...))
	t.proxy.Away()
	done := t.send(t.records(1, 4)...)
	t.waits(done)
	t.ends(done)
	t.holds(1)
	t.proxy.Back()
	t.start()
	t.acknowledged(t.send(t.records(1, 4)...))
	t.holds(4)
}

// cancelled ends the engine while the server has not answered.
func (t *trial) cancelled() {
	t.start()
	t.acknowledged(t.send(t.records(0, 1)...))
	t.proxy.Freeze()
	done := t.send(t.records(1, 4)...)
	t.await("the server's turn", func() bool { return t.proxy.Held() > 0 })
	t.ends(done)
	if n := len(t.stream.Dead.Sent()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	t.proxy.Thaw()
	t.start()
	t.acknowledged(t.send(t.records(1, 4)...))
	t.holds(4)
}

// ends stops the engine, which must not take long, nor acknowledge a batch that is not written.
func (t *trial) ends(done <-chan error) {
	t.Helper()
	_ = t.stream.Stop(2 * time.Second)
	if err := t.stream.Stop(t.target.Patience); err == enginetest.ErrRunning {
		t.Error("the engine did not end")
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("the batch was acknowledged")
		}
	case <-time.After(100 * time.Millisecond):
	}
}
