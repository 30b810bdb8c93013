package input

import (
	"sync"
)

// place is one partition of a topic.
type place struct {
	topic     string
	partition int32
}

// progress is how far the records of one partition are done, while it is assigned to this member.
type progress struct {
	// pending are the parts of batches that are on their way, in the order of the log.
	pending []*part
	// end is the end of the log as far as it is known, and reached the offset before which all is done, once records came.
	end, reached int64
	begun        bool
	// lost is set when the partition is assigned to somebody else: what is done after that is no longer ours to commit.
	lost bool
}

// part is what a batch holds of one partition.
type part struct {
	of *progress
	at place
	// next is the offset behind its last record.
	next int64
	done bool
}

// tracker keeps the progress of all partitions that are assigned to this member.
type tracker struct {
	mu   sync.Mutex
	done *sync.Cond
	held map[place]*progress
	// commit takes the offset up to which a partition is done. It is called under mu, so that it never comes after the
	// partition was given away.
	commit func(at place, next int64)
	// lag is called with how many records of a partition are not done.
	lag func(at place, records int64)
}

func newTracker(commit func(place, int64), lag func(place, int64)) *tracker {
	t := &tracker{held: map[place]*progress{}, commit: commit, lag: lag}
	t.done = sync.NewCond(&t.mu)
	return t
}

// assign begins with partitions again.
func (t *tracker) assign(places []place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range places {
		if before := t.held[at]; before != nil {
			before.lost = true
		}
		t.held[at] = &progress{}
	}
}

// progressOf returns the progress of a partition; nil for one that is not assigned to this member.
func (t *tracker) progressOf(at place) *progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[at]
}

// span are offsets from first to before next, in a log that ends at end.
type span struct{ first, next, end int64 }

// begin notes that so many records are on their way. Without any there is nothing to wait for: the offset is that of a
// transaction's marker. It returns nil where the partition is another member's by now, or was assigned again.
func (t *tracker) begin(at place, of *progress, s span, records int) *part {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.lost {
		return nil
	}
	if !of.begun {
		of.reached, of.begun = s.first, true
	}
	of.end = s.end
	p := &part{of: of, at: at, next: s.next, done: records == 0}
	of.pending = append(of.pending, p)
	t.advance(of)
	// While nothing gets done, nothing else would say that there is more and more to do.
	t.lag(at, max(0, of.end-of.reached))
	return p
}

// finish notes that parts are done.
func (t *tracker) finish(parts []*part) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range parts {
		p.done = true
		t.advance(p.of)
	}
	t.done.Broadcast()
}

// lost reports whether a part is of a partition that went to another member.
func (t *tracker) lost(p *part) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.of.lost
}

// advance commits what is done without a gap.
func (t *tracker) advance(of *progress) {
	done := 0
	for done < len(of.pending) && of.pending[done].done {
		done++
	}
	if done == 0 || of.lost {
		return
	}
	last := of.pending[done-1]
	of.pending = append(of.pending[:0], of.pending[done:]...)
	of.reached = last.next
	t.commit(last.at, last.next)
	t.lag(last.at, max(0, of.end-of.reached))
}

// settled reports whether nothing of these partitions is on its way.
func (t *tracker) settled(places []place) bool {
	for _, at := range places {
		if of := t.held[at]; of != nil && len(of.pending) > 0 {
			return false
		}
	}
	return true
}

// await returns when nothing of these partitions is on its way, or when expired says so; the caller that makes it say so wakes it.
func (t *tracker) await(places []place, expired func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.settled(places) && !expired() {
		t.done.Wait()
	}
}

// wake lets await look again.
func (t *tracker) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.Broadcast()
}

// forget ends the commits of partitions.
func (t *tracker) forget(places []place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range places {
		if of := t.held[at]; of != nil {
			of.lost = true
			delete(t.held, at)
			t.lag(at, 0)
		}
	}
}
