package deadletters

import (
	"slices"
	"sync"
)

// reach is how far back, in records read, letters are remembered: batches arrive out of order, but never by more
// than what an engine has in flight.
const reach = 1 << 16

// breaker opens when too many of the records that were read one after the other are dead. It counts records and not
// letters: the documents of one record, or the copies of several sinks, are one.
type breaker struct {
	// limit dead records among window records in a row open it; 0 never does.
	limit  int
	window uint64
	// sampled is done once some of what was held back first was shown.
	sampled sync.Once

	mu   sync.Mutex
	open bool
	// dead holds the places of the latest dead records in the order of reading, ascending.
	dead []uint64
}

// admit takes note of dead records by their places; false means that they must not be delivered.
func (b *breaker) admit(places []uint64) bool {
	if b == nil || b.limit <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return false
	}
	b.dead = append(b.dead, places...)
	slices.Sort(b.dead)
	b.dead = slices.Compact(b.dead)
	b.open = b.crowded()
	b.forget()
	return !b.open
}

func (b *breaker) crowded() bool {
	for last := b.limit - 1; last < len(b.dead); last++ {
		if b.dead[last]-b.dead[last-b.limit+1] < b.window {
			return true
		}
	}
	return false
}

func (b *breaker) forget() {
	if len(b.dead) == 0 {
		return
	}
	newest, kept := b.dead[len(b.dead)-1], max(b.window, reach)
	first, _ := slices.BinarySearch(b.dead, newest-min(newest, kept))
	b.dead = slices.Delete(b.dead, 0, first)
}
