package postgrescopy

import (
	"slices"
	"sync"

	"ddpm/engine/internal/sink"
)

// company brings batches together in which nothing shows that the table takes rows now with others in which something
// may: the next batch that is written takes along those that wait.
type company struct {
	mu      sync.Mutex
	waiting []*encoded
	// retry is held by a batch that waits for company while it makes an attempt of its own.
	retry sync.Mutex
}

// turn lets a batch wait while another makes an attempt in vain, which it would find no company in. The function that
// it returns ends the turn.
func (c *company) turn(b *encoded) (end func()) {
	c.retry.Lock()
	if b.tried {
		return c.retry.Unlock
	}
	c.retry.Unlock()
	return func() {}
}

// wait notes that a batch waits for company.
func (c *company) wait(b *encoded, why *lonely) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.lonely, b.tried = why, true
	c.waiting = append(c.waiting, b)
}

// leave ends the waiting of a batch, or returns what became of it meanwhile. It is false while another batch has
// taken it along.
func (c *company) leave(b *encoded) (result *sink.Result, left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.lonely == nil || b.result != nil {
		return b.result, true
	}
	at := slices.Index(c.waiting, b)
	if at < 0 {
		return nil, false
	}
	c.waiting = slices.Delete(c.waiting, at, at+1)
	b.lonely = nil
	return nil, true
}

// join is a batch with those that it takes along.
type join struct {
	*encoded
	guests []*encoded
	// ends holds where the indexes of each batch end, and sizes how many rows each has.
	ends, sizes []int
}

// join takes along all batches that wait for company, and whose text is for the same types.
func (c *company) join(b *encoded) *join {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := func(other *encoded) bool { return slices.Equal(other.shapes, b.shapes) }
	if b.single || !slices.ContainsFunc(c.waiting, same) {
		return &join{encoded: b}
	}
	j := &join{encoded: &encoded{shapes: b.shapes}}
	for _, each := range c.waiting {
		if same(each) {
			j.guests = append(j.guests, each)
		}
	}
	c.waiting = slices.DeleteFunc(c.waiting, same)
	base := 0
	for _, each := range append([]*encoded{b}, j.guests...) {
		j.conflicted = j.conflicted || each.conflicted
		end := base
		for nth := range each.rows {
			j.append(each, nth)
			added := &j.rows[len(j.rows)-1]
			added.index += base
			end = max(end, added.index+1)
		}
		j.ends, j.sizes = append(j.ends, end), append(j.sizes, len(each.rows))
		base = end
	}
	return j
}

// part hands the guests what became of them, and returns what became of the host; after an error the guests wait on.
func (c *company) part(j *join, all sink.Result, err error) (sink.Result, error) {
	if len(j.guests) == 0 {
		return all, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.waiting = append(c.waiting, j.guests...)
		return sink.Result{}, err
	}
	parts := make([]sink.Result, len(j.ends))
	for _, f := range all.Failures {
		nth, _ := slices.BinarySearch(j.ends, f.Index+1)
		if nth > 0 {
			f.Index -= j.ends[nth-1]
		}
		parts[nth].Failures = append(parts[nth].Failures, f)
	}
	// Which of the batches the duplicates are of is not known. The guests were tried before, so theirs would be no news.
	// Rows that the server neither took nor had stay missing.
	left := all
	for nth := len(parts) - 1; nth >= 0; nth-- {
		part := &parts[nth]
		taken := j.sizes[nth] - len(part.Failures)
		part.Duplicates = min(left.Duplicates, taken)
		part.Committed = min(left.Committed, taken-part.Duplicates)
		part.Again = all.Again
		left.Duplicates -= part.Duplicates
		left.Committed -= part.Committed
	}
	for i, guest := range j.guests {
		guest.result = &parts[i+1]
		close(guest.lonely.news)
	}
	return parts[0], nil
}
