package input

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// booked is what a tracker committed, in order.
type booked struct {
	offsets map[place][]int64
	lag     map[place]int64
}

func tracked(places ...place) (*tracker, *booked) {
	c := &booked{map[place][]int64{}, map[place]int64{}}
	t := newTracker(func(at place, next int64) { c.offsets[at] = append(c.offsets[at], next) },
		func(at place, records int64) { c.lag[at] = records })
	t.assign(places)
	return t, c
}

var first, second = place{"t", 0}, place{"t", 1}

func TestAnOffsetIsCommittedWhenAllBeforeItAreDone(t *testing.T) {
	tr, c := tracked(first, second)
	var parts []*part
	for next := int64(10); next <= 50; next += 10 {
		parts = append(parts, tr.begin(first, tr.progressOf(first), span{next - 10, next, 60}, 10))
	}
	other := tr.begin(second, tr.progressOf(second), span{0, 5, 5}, 5)
	tr.finish(parts[2:4])
	tr.finish([]*part{other})
	if len(c.offsets[first]) != 0 || !slices.Equal(c.offsets[second], []int64{5}) {
		t.Fatalf("%v", c.offsets)
	}
	tr.finish(parts[:1])
	tr.finish(parts[1:2])
	if !slices.Equal(c.offsets[first], []int64{10, 40}) || c.lag[first] != 20 || c.lag[second] != 0 {
		t.Errorf("%v, behind %v", c.offsets, c.lag)
	}
}

func TestWhatIsNotDoneIsBehindBeforeAnythingIs(t *testing.T) {
	tr, c := tracked(first)
	p := tr.begin(first, tr.progressOf(first), span{100, 110, 130}, 10)
	if c.lag[first] != 30 {
		t.Errorf("behind %d", c.lag[first])
	}
	tr.begin(first, tr.progressOf(first), span{110, 120, 150}, 10)
	if c.lag[first] != 50 {
		t.Errorf("behind %d", c.lag[first])
	}
	tr.finish([]*part{p})
	if c.lag[first] != 40 {
		t.Errorf("behind %d", c.lag[first])
	}
}

func TestAMarkerAloneIsCommittedBehindWhatIsDone(t *testing.T) {
	tr, c := tracked(first)
	p := tr.begin(first, tr.progressOf(first), span{0, 3, 5}, 3)
	tr.begin(first, tr.progressOf(first), span{4, 5, 5}, 0)
	if len(c.offsets[first]) != 0 {
		t.Fatalf("%v", c.offsets)
	}
	tr.finish([]*part{p})
	if !slices.Equal(c.offsets[first], []int64{5}) {
		t.Errorf("%v", c.offsets)
	}
}

func TestWhatAnotherMemberHasIsNotCommitted(t *testing.T) {
	tr, c := tracked(first)
	before := tr.progressOf(first)
	p := tr.begin(first, before, span{0, 10, 60}, 10)
	tr.forget([]place{first})
	tr.finish([]*part{p})
	if tr.begin(first, before, span{10, 20, 60}, 10) != nil {
		t.Error("records of a partition that went to another member are handed on")
	}
	tr.assign([]place{first})
	if !tr.lost(p) || tr.begin(first, before, span{10, 20, 60}, 10) != nil {
		t.Error("records of before it came back are handed on")
	}
	if len(c.offsets) != 0 {
		t.Errorf("%v", c.offsets)
	}
}

func TestWhatIsOnItsWayIsAwaited(t *testing.T) {
	tr, _ := tracked(first, second)
	p := tr.begin(first, tr.progressOf(first), span{0, 10, 60}, 10)
	awaited := make(chan struct{})
	go func() {
		tr.await([]place{first}, func() bool { return false })
		close(awaited)
	}()
	tr.await([]place{second}, func() bool { return false })
	select {
	case <-awaited:
		t.Fatal("not awaited")
	case <-time.After(10 * time.Millisecond):
	}
	tr.finish([]*part{p})
	<-awaited
	tr.begin(first, tr.progressOf(first), span{10, 20, 60}, 10)
	tr.await([]place{first}, func() bool { return true })
}

// Whatever the order in which batches are done, and however many threads there are: what is committed only grows, and
// never passes a batch that is not done.
func TestCommitsFollowTheOrderOfTheLog(t *testing.T) {
	const batches = 500
	tr, c := tracked(first)
	finished := make([]bool, batches+1)
	var mu sync.Mutex
	tr.commit = func(_ place, next int64) {
		mu.Lock()
		defer mu.Unlock()
		for i := int64(1); i <= next; i++ {
			if !finished[i] {
				t.Errorf("committed up to %d, though %d is not done", next, i)
			}
		}
		c.offsets[first] = append(c.offsets[first], next)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(batches)
	parts := make([]*part, batches)
	for i := range parts {
		parts[i] = tr.begin(first, tr.progressOf(first), span{int64(i), int64(i + 1), batches}, 1)
	}
	var wg sync.WaitGroup
	for thread := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := thread; k < batches; k += 4 {
				mu.Lock()
				finished[order[k]+1] = true
				mu.Unlock()
				tr.finish([]*part{parts[order[k]]})
			}
		}()
	}
	wg.Wait()
	if got := c.offsets[first]; !slices.IsSorted(got) || got[len(got)-1] != batches {
		t.Errorf("%v", got)
	}
}
