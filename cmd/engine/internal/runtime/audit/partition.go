package audit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Partition is the book of one partition.
type Partition struct {
	topic  string
	number int

	read, documents                     atomic.Int64
	rows, redelivered, unexpected, dead atomic.Int64
	// begunAt is the end of the log at the time when reading began, or went on after somebody else may have read.
	begunAt atomic.Int64

	mu    sync.Mutex
	known bool
	// first is the lowest offset that was read, next the one behind the highest.
	first, next int64
	// skipped is a gap that a batch left which another thread may be about to fill.
	skipped gap
	pages   []*Page
	folded  Open
	// filtered counts the documents on balanced pages that no stage behind the processors has seen.
	filtered int64
	posted   counts
}

// gap is a range of offsets from, up to but not including, to, with what begunAt was before it was seen.
type gap struct{ from, to, before int64 }

func (p *Partition) enter(first, last, end int64, now time.Time) *Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.follow(first, last, end)
	var page *Page
	if n := len(p.pages); n > 0 && now.Sub(p.pages[n-1].begun) < pageSpan {
		page = p.pages[n-1]
	} else {
		page = &Page{partition: p, begun: now}
		p.pages = append(p.pages, page)
		p.fold()
	}
	page.end = max(page.end, last+1)
	return page
}

// follow notices when reading did not simply go on: other members of the group may have read, and written, what the
// log holds by now.
func (p *Partition) follow(first, last, end int64) {
	switch {
	case !p.known:
		p.known = true
		p.first = first
		p.begunAt.Store(end)
	case first == p.skipped.from && last+1 == p.skipped.to:
		// Two threads took two batches in a row, and the second was faster.
		p.begunAt.Store(p.skipped.before)
		p.skipped = gap{}
		return
	case first > p.next:
		p.skipped = gap{p.next, first, p.begunAt.Load()}
		p.begunAt.Store(max(p.begunAt.Load(), end))
	case first < p.next:
		// All that was read before is below the end of the log, unless the log is a shorter one now.
		p.skipped = gap{}
		p.begunAt.Store(end)
		p.next = min(p.next, end)
	}
	p.first = min(p.first, first)
	p.next = max(p.next, last+1)
}

// fold keeps the number of pages bounded where something is lost all the time. A page that is so old settles no more.
func (p *Partition) fold() {
	if len(p.pages) <= mostPages {
		return
	}
	oldest := p.pages[0]
	p.folded.Records += max(0, oldest.due.Load()-oldest.settled.Load())
	if p.folded.End == 0 {
		p.folded.End = oldest.end
	}
	p.pages = p.pages[1:]
}

// Open is what has not been settled for a while.
type Open struct {
	// End is the offset behind the oldest page that is not balanced; 0 when all are.
	End int64
	// Records counts the messages that are missing, over all pages that are not young.
	Records int64
}

// open strikes out the pages that are balanced and keepFor old, and returns what is left.
func (p *Partition) open(now time.Time, keepFor time.Duration, settles bool) Open {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.pages[:0]
	found := p.folded
	for _, page := range p.pages {
		missing := page.due.Load() - page.settled.Load()
		if !settles {
			missing = 0
		}
		if missing <= 0 && now.Sub(page.begun) >= keepFor {
			p.filtered += max(0, page.documents.Load()-page.due.Load())
			continue
		}
		kept = append(kept, page)
		if missing > 0 && now.Sub(page.begun) >= openAfter {
			found.Records += missing
			if found.End == 0 {
				found.End = page.end
			}
		}
	}
	clear(p.pages[len(kept):])
	p.pages = kept
	return found
}
