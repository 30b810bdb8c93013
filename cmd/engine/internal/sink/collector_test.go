package sink_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sink/flush"
)

// depot keeps units in memory.
type depot struct {
	mu     sync.Mutex
	closed [][]string
	// failures are how many of the next units cannot be closed, breaks after how many more rows one cannot be filled.
	failures, breaks int
	dropped          int
}

type held struct {
	*depot
	rows []string
}

func (s *depot) open() (sink.Unit, error) { return &held{depot: s}, nil }

func (h *held) Add(rows sink.Rows) ([]sink.Failure, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows = append(h.rows, documents(rows)...)
	if h.breaks > 0 {
		if h.breaks--; h.breaks == 0 {
			return nil, errors.New("broken")
		}
	}
	return nil, nil
}

func (h *held) Close(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 {
		h.failures--
		return errors.New("away")
	}
	h.closed = append(h.closed, h.rows)
	return nil
}

func (h *held) Drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped++
}

func (s *depot) units() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// late is a sink of a collector.
type late struct{ *sink.Collector }

func (late) Connect(context.Context) error { return nil }
func (late) Close(context.Context) error   { return nil }
func (late) Classify(error) sink.Verdict   { return sink.Verdict{Class: "away"} }
func batchOf(text string) service.MessageBatch {
	return service.MessageBatch{service.NewMessage([]byte(text))}
}

func newLate(s *depot, limits sink.Limits) (*sink.Output, *service.Resources) {
	mgr := service.MockResources()
	options := sink.Options{Name: "the depot", Classes: []string{"away"}, Metrics: sink.MetricsOf("late"), FirstPause: time.Millisecond}
	return sink.New(late{sink.NewCollector(s.open, limits, mgr)}, options, mgr), mgr
}

func writeAll(ctx context.Context, out *sink.Output, n int) chan error {
	ended := make(chan error, n)
	for i := range n {
		go func() { ended <- out.WriteBatch(ctx, batchOf(fmt.Sprintf(`{"n":%d}`, i))) }()
	}
	return ended
}

func TestWritesOfAUnitThatCannotBeClosedGoIntoAnother(t *testing.T) {
	s := &depot{failures: 2}
	out, _ := newLate(s, sink.Limits{Writes: 5, Age: time.Hour})
	ended := writeAll(context.Background(), out, 5)
	for range 5 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if units := s.units(); len(units) != 1 || len(units[0]) != 5 {
		t.Errorf("units: %v", units)
	}
}

// Nobody may close a unit that a write has broken, and none gets more writes than its limit.
func TestABrokenUnitIsDroppedAndNoneIsOverfull(t *testing.T) {
	const writes = 40
	s := &depot{breaks: 7}
	out, _ := newLate(s, sink.Limits{Writes: 4, Age: 20 * time.Millisecond})
	ended := writeAll(context.Background(), out, writes)
	for range writes {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	found := map[string]int{}
	for _, unit := range s.units() {
		if len(unit) > 4 {
			t.Errorf("a unit has %v", unit)
		}
		for _, row := range unit {
			found[row]++
		}
	}
	for i := range writes {
		if row := fmt.Sprintf(`{"n":%d}`, i); found[row] != 1 {
			t.Errorf("%s is there %d times", row, found[row])
		}
	}
	if s.dropped != 1 {
		t.Errorf("%d units were dropped", s.dropped)
	}
}

func TestWhileAPartitionIsGivenAwayNothingIsKept(t *testing.T) {
	s := &depot{}
	out, mgr := newLate(s, sink.Limits{Writes: 100, Age: time.Hour})
	over := flush.Of(mgr).Ask()
	for range 3 {
		if err := out.WriteBatch(context.Background(), batchOf("{}")); err != nil {
			t.Fatal(err)
		}
	}
	over()
	ended := writeAll(context.Background(), out, 1)
	select {
	case <-ended:
		t.Error("a unit was closed that nobody wants closed")
	case <-time.After(50 * time.Millisecond):
	}
	flush.Of(mgr).End()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAUnitIsClosedBySizeAgeAndOnRequest(t *testing.T) {
	for name, each := range map[string]struct {
		limits sink.Limits
		ask    func(*flush.Signal)
	}{
		"size":       {sink.Limits{Writes: 100, Bytes: 14, Age: time.Hour}, nil},
		"age":        {sink.Limits{Writes: 100, Age: 50 * time.Millisecond}, nil},
		"on request": {sink.Limits{Writes: 100, Age: time.Hour}, func(s *flush.Signal) { s.Ask()() }},
		"at the end": {sink.Limits{Writes: 100, Age: time.Hour}, (*flush.Signal).End},
	} {
		t.Run(name, func(t *testing.T) {
			s := &depot{}
			out, mgr := newLate(s, each.limits)
			ended := writeAll(context.Background(), out, 2)
			for left := 2; left > 0; {
				if each.ask != nil {
					each.ask(flush.Of(mgr))
				}
				select {
				case err := <-ended:
					if err != nil {
						t.Fatal(err)
					}
					left--
				case <-time.After(10 * time.Millisecond):
				}
			}
			rows := 0
			for _, unit := range s.units() {
				rows += len(unit)
			}
			if rows != 2 {
				t.Errorf("units: %v", s.units())
			}
		})
	}
}

func TestAHardStopDropsTheUnit(t *testing.T) {
	s := &depot{}
	out, _ := newLate(s, sink.Limits{Writes: 100, Age: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	ended := writeAll(ctx, out, 3)
	time.AfterFunc(50*time.Millisecond, cancel)
	for range 3 {
		if err := <-ended; !errors.Is(err, service.ErrNotConnected) {
			t.Errorf("%v", err)
		}
	}
	if units := s.units(); len(units) > 0 || s.dropped == 0 {
		t.Errorf("units: %v, dropped: %d", units, s.dropped)
	}
}
